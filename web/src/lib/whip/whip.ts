// A WHIP client (RFC 9725): sends one camera and one microphone.

import { ApiError, errorOf } from '../api/client'
import { hasCandidates, preferH264 } from './sdp'

export interface WhipOptions {
  /** The WHIP endpoint, such as /whip/{channel}. */
  endpoint: string
  stream: MediaStream
  /** Upper bound of the video, in bit/s. */
  maxBitrate?: number
  state?: (state: RTCPeerConnectionState) => void
  fetch?: typeof fetch
  peer?: (config: RTCConfiguration) => RTCPeerConnection
}

/** Longest wait for ICE candidates before the offer is sent with those found, in milliseconds. */
const gathering = 1_000
/** Longest wait for the last packets to leave, and between two looks, in milliseconds. */
const draining = 1_000
const look = 100
/** Longest wait for the server's answer, in milliseconds. */
const answering = 12_000

export class WhipSession {
  readonly #peer: RTCPeerConnection
  readonly #fetch: typeof fetch
  #resource = ''
  #closed = false

  private constructor(peer: RTCPeerConnection, fetcher: typeof fetch) {
    this.#peer = peer
    this.#fetch = fetcher
  }

  /** Sends the offer and takes the answer. Rejects with an ApiError whose message says what is wrong. */
  static async start(options: WhipOptions): Promise<WhipSession> {
    const fetcher = options.fetch ?? ((input, init) => fetch(input, init))
    const peer = (options.peer ?? ((config) => new RTCPeerConnection(config)))({ bundlePolicy: 'max-bundle' })
    const session = new WhipSession(peer, fetcher)
    peer.addEventListener('connectionstatechange', () => {
      if (!session.#closed) options.state?.(peer.connectionState)
    })
    try {
      for (const track of options.stream.getTracks()) await addTrack(peer, track, options)
      await peer.setLocalDescription(await peer.createOffer())
      await gathered(peer)
      await session.#exchange(options.endpoint)
    } catch (error) {
      session.stop()
      throw error
    }
    return session
  }

  get resource(): string {
    return this.#resource
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

  /**
   * Ends the broadcast. The DELETE outlives the page (keepalive), so that it
   * ends at once also when the page is closed.
   */
  stop(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    const told = this.#resource
      ? this.#fetch(this.#resource, { method: 'DELETE', keepalive: true, credentials: 'same-origin' }).then(
          () => {},
          () => {}, // the server notices by itself that nothing comes any more
        )
      : Promise.resolve()
    this.#peer.close()
    return told
  }

  async #exchange(endpoint: string): Promise<void> {
    const offer = this.#peer.localDescription?.sdp ?? ''
    if (!hasCandidates(offer)) {
      throw new ApiError(0, 'The browser found no network to send over. Check your connection and try again.')
    }
    let response: Response
    try {
      response = await this.#fetch(endpoint, {
        method: 'POST',
        credentials: 'same-origin',
        headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp' },
        body: offer,
        signal: AbortSignal.timeout(answering),
      })
    } catch {
      throw new ApiError(0, 'The server cannot be reached. Check your connection and try again.')
    }
    if (response.status !== 201) throw await errorOf(response)
    this.#resource = resourceURL(response, endpoint)
    const answer = await response.text()
    await this.#peer.setRemoteDescription({ type: 'answer', sdp: answer })
  }
}

/** The session's URL: the Location header, relative to where the answer came from. */
export function resourceURL(response: { headers: Headers; url: string }, endpoint: string): string {
  const place = response.headers.get('Location')
  if (!place) throw new ApiError(0, 'The server gave the broadcast no address (its answer has no Location).')
  const base = response.url || new URL(endpoint, globalThis.location?.href ?? 'http://localhost/').href
  return new URL(place, base).href
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

function gathered(peer: RTCPeerConnection): Promise<void> {
  if (peer.iceGatheringState === 'complete') return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      peer.removeEventListener('icegatheringstatechange', check)
      resolve()
    }
    const check = () => {
      if (peer.iceGatheringState === 'complete') done()
    }
    const timer = setTimeout(done, gathering)
    peer.addEventListener('icegatheringstatechange', check)
  })
}
