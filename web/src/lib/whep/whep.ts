// A WHEP client (draft-ietf-wish-whep): receives one picture and its sound.

import { exchange, release, type Answered } from '../webrtc/exchange'
import { gathered } from '../webrtc/ice'
import { preferH264 } from '../webrtc/sdp'

export interface WhepOptions {
  /** The WHEP endpoint, such as /whep/{channel}. */
  endpoint: string
  /** STUN and TURN servers, as an earlier session learnt them. */
  iceServers?: RTCIceServer[]
  fetch?: typeof fetch
  peer?: (config: RTCConfiguration) => RTCPeerConnection
  stream?: () => MediaStream
}

/**
 * What has become of a session: still there, moved off by the server because
 * the line is too slow, over, or not to be learnt at the moment.
 */
export type Fate = 'here' | 'moved' | 'gone' | 'unknown'

export class WhepSession {
  /** What arrives, for the srcObject of a <video>; its tracks come with the answer. */
  readonly stream: MediaStream
  readonly #peer: RTCPeerConnection
  readonly #fetch: typeof fetch
  #answered: Answered | null = null
  #closed = false

  private constructor(peer: RTCPeerConnection, fetcher: typeof fetch, stream: MediaStream) {
    this.#peer = peer
    this.#fetch = fetcher
    this.stream = stream
  }

  /** Asks for the live stream. Rejects with an ApiError: 404 when nobody is live, 406 when nothing fits this browser. */
  static async start(options: WhepOptions): Promise<WhepSession> {
    const fetcher = options.fetch ?? ((input, init) => fetch(input, init))
    const config: RTCConfiguration = { bundlePolicy: 'max-bundle', iceServers: options.iceServers ?? [] }
    const peer = (options.peer ?? ((wanted) => new RTCPeerConnection(wanted)))(config)
    const session = new WhepSession(peer, fetcher, (options.stream ?? (() => new MediaStream()))())
    peer.addEventListener('track', ({ track }) => session.stream.addTrack(track))
    try {
      receive(peer)
      await peer.setLocalDescription(await peer.createOffer())
      await gathered(peer)
      session.#answered = await exchange(fetcher, options.endpoint, peer.localDescription?.sdp ?? '')
      await peer.setRemoteDescription({ type: 'answer', sdp: session.#answered.answer })
    } catch (error) {
      session.stop()
      throw error
    }
    return session
  }

  get resource(): string {
    return this.#answered?.resource ?? ''
  }

  get iceServers(): RTCIceServer[] {
    return this.#answered?.iceServers ?? []
  }

  get state(): RTCPeerConnectionState {
    return this.#peer.connectionState
  }

  stats(): Promise<RTCStatsReport> {
    return this.#peer.getStats()
  }

  /** Asks the server what has become of the session, for when no picture comes any more. */
  async fate(): Promise<Fate> {
    try {
      const response = await this.#fetch(this.resource, { cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(5_000) })
      if (response.status === 410) return 'moved'
      if (response.status === 404) return 'gone'
      return response.status < 500 ? 'here' : 'unknown'
    } catch {
      return 'unknown'
    }
  }

  /** Ends the session, also when the page is closed right after. */
  stop(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    this.#peer.close()
    return this.resource ? release(this.#fetch, this.resource) : Promise.resolve()
  }
}

function receive(peer: RTCPeerConnection): void {
  const video = peer.addTransceiver('video', { direction: 'recvonly' })
  peer.addTransceiver('audio', { direction: 'recvonly' })
  const codecs = globalThis.RTCRtpReceiver?.getCapabilities?.('video')?.codecs
  if (codecs && 'setCodecPreferences' in video) video.setCodecPreferences(preferH264(codecs))
}
