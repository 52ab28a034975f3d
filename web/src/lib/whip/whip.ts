// A WHIP client (RFC 9725): sends one camera and one microphone.

import { answering, exchange, release, type Answered } from '../webrtc/exchange'
import { gathered } from '../webrtc/ice'
import { iceOf, preferH264, restartFragment, withEstimate, withIce } from '../webrtc/sdp'

export interface WhipOptions {
  /** The WHIP endpoint, such as /whip/{channel}. */
  endpoint: string
  stream: MediaStream
  /** Upper bound of the video, in bit/s. */
  maxBitrate?: number
  /** STUN and TURN servers, as an earlier session learnt them. */
  iceServers?: RTCIceServer[]
  state?: (state: RTCPeerConnectionState) => void
  fetch?: typeof fetch
  peer?: (config: RTCConfiguration) => RTCPeerConnection
}

/** A picture from the first second on, and one that can always come back; in kbit/s. */
const estimate = { start: 1_000, min: 100 }

/** Longest wait for the last packets to leave, and between two looks, in milliseconds. */
const draining = 1_000
const look = 100

export class WhipSession {
  readonly #peer: RTCPeerConnection
  readonly #fetch: typeof fetch
  #answered: Answered | null = null
  #closed = false

  private constructor(peer: RTCPeerConnection, fetcher: typeof fetch) {
    this.#peer = peer
    this.#fetch = fetcher
  }

  /** Sends the offer and takes the answer. Rejects with an ApiError whose message says what is wrong. */
  static async start(options: WhipOptions): Promise<WhipSession> {
    const fetcher = options.fetch ?? ((input, init) => fetch(input, init))
    const config: RTCConfiguration = { bundlePolicy: 'max-bundle', iceServers: options.iceServers ?? [] }
    const peer = (options.peer ?? ((wanted) => new RTCPeerConnection(wanted)))(config)
    const session = new WhipSession(peer, fetcher)
    peer.addEventListener('connectionstatechange', () => {
      if (!session.#closed) options.state?.(peer.connectionState)
    })
    try {
      for (const track of options.stream.getTracks()) await addTrack(peer, track, options)
      await peer.setLocalDescription(await peer.createOffer())
      await gathered(peer)
      const answered = await exchange(fetcher, options.endpoint, peer.localDescription?.sdp ?? '')
      answered.answer = withEstimate(answered.answer, estimate)
      session.#answered = answered
      await peer.setRemoteDescription({ type: 'answer', sdp: answered.answer })
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

  get peer(): RTCPeerConnection {
    return this.#peer
  }

  /** Sends another track instead of the one of its kind, without a new offer. */
  async replace(track: MediaStreamTrack): Promise<void> {
    const sender = this.#peer.getSenders().find((s) => s.track?.kind === track.kind)
    await sender?.replaceTrack(track)
  }

  /**
   * Restarts ICE over the network that there is now (RFC 9725, section 4.3.3);
   * the session and what it sends stay. False when the server does not take it:
   * then a new session is due.
   */
  async restart(): Promise<boolean> {
    const answered = this.#answered
    if (this.#closed || !answered?.etag || this.#peer.signalingState !== 'stable') return false
    try {
      await this.#peer.setLocalDescription(await this.#peer.createOffer({ iceRestart: true }))
      await gathered(this.#peer)
      const response = await this.#fetch(answered.resource, {
        method: 'PATCH',
        credentials: 'same-origin',
        headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' },
        body: restartFragment(this.#peer.localDescription?.sdp ?? ''),
        signal: AbortSignal.timeout(answering),
      })
      const ice = response.status === 200 ? iceOf(await response.text()) : null
      if (!ice || this.#closed) return false
      answered.answer = withIce(answered.answer, ice)
      answered.etag = response.headers.get('ETag') ?? answered.etag
      await this.#peer.setRemoteDescription({ type: 'answer', sdp: answered.answer })
      return true
    } catch {
      return false
    }
  }

  /**
   * Takes camera and microphone away from the connection and waits until what
   * they gave is on its way, so that the last words are not cut off.
   */
  async drain(): Promise<void> {
    await Promise.all(this.#peer.getSenders().map((sender) => sender.replaceTrack(null)))
    let sent = -1
    for (let waited = 0; waited < draining; waited += look) {
      const before = sent
      sent = 0
      const report = await this.#peer.getStats()
      report.forEach((entry: { type: string; packetsSent?: number }) => {
        if (entry.type === 'outbound-rtp') sent += entry.packetsSent ?? 0
      })
      if (sent === before) return
      await new Promise((resolve) => setTimeout(resolve, look))
    }
  }

  /** Ends the broadcast, also when the page is closed right after. */
  stop(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    if (!this.resource) {
      this.abandon()
      return Promise.resolve()
    }
    this.#closed = true
    // The goodbye goes first: a connection that closes without one means that the broadcaster may come back.
    return release(this.#fetch, this.resource).finally(() => this.#peer.close())
  }

  /** Closes the connection and leaves the broadcast open, for another session to take over. */
  abandon(): void {
    this.#closed = true
    this.#peer.close()
  }
}

async function addTrack(peer: RTCPeerConnection, track: MediaStreamTrack, options: WhipOptions): Promise<void> {
  const transceiver = peer.addTransceiver(track, { direction: 'sendonly', streams: [options.stream] })
  if (track.kind !== 'video') return
  if ('contentHint' in track) track.contentHint = 'motion'
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.('video')?.codecs
  if (codecs && 'setCodecPreferences' in transceiver) transceiver.setCodecPreferences(preferH264(codecs))
  const parameters = transceiver.sender.getParameters()
  parameters.degradationPreference = 'maintain-resolution'
  for (const encoding of parameters.encodings ?? []) encoding.maxBitrate = options.maxBitrate ?? 2_500_000
  // A browser that does not know one of these still sends; it only adapts its own way.
  await transceiver.sender.setParameters(parameters).catch(() => {})
}
