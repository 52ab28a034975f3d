import { expect, it, vi } from 'vitest'
import { ApiError } from '../api/client'
import { WhipSession, resourceURL } from './whip'

const offer = 'v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n'

/** A peer connection that records what is done to it. */
class Peer extends EventTarget {
  iceGatheringState = 'complete'
  connectionState = 'new'
  localDescription: { sdp: string } | null = null
  remote = ''
  closed = false
  parameters: { encodings: { maxBitrate?: number }[]; degradationPreference?: string }[] = []
  constructor(private sdp = offer) {
    super()
  }
  addTransceiver(track: { kind: string }) {
    const parameters = { encodings: [{}] as { maxBitrate?: number }[] }
    return {
      setCodecPreferences: () => {},
      sender: {
        track,
        getParameters: () => parameters,
        setParameters: async (p: (typeof this.parameters)[number]) => void this.parameters.push(p),
      },
    }
  }
  async createOffer() {
    return { type: 'offer', sdp: this.sdp }
  }
  async setLocalDescription(d: { sdp: string }) {
    this.localDescription = d
  }
  async setRemoteDescription(d: { sdp: string }) {
    this.remote = d.sdp
  }
  senders = [{ track: {} as object | null, replaceTrack: async (track: object | null) => void (this.senders[0] = { ...this.senders[0]!, track }) }]
  packets = [10, 14, 15, 15, 99]
  getSenders() {
    return this.senders
  }
  async getStats() {
    return new Map([['a', { type: 'outbound-rtp', packetsSent: this.packets.shift() }]])
  }
  close() {
    this.closed = true
  }
}

const stream = { getTracks: () => [{ kind: 'video' }, { kind: 'audio' }] } as unknown as MediaStream

function start(peer: Peer, answer: Response | Error) {
  const fetch = vi.fn(async (_url: RequestInfo | URL, _init?: RequestInit) => {
    if (answer instanceof Error) throw answer
    return answer.clone()
  })
  return { fetch, session: WhipSession.start({ endpoint: 'http://v.example/whip/c1', stream, fetch, peer: () => peer as unknown as RTCPeerConnection }) }
}

const created = (headers: Record<string, string> = { Location: '/whip/c1/s1' }) => new Response('v=0\r\nanswer', { status: 201, headers })

it('posts the offer as SDP and takes the answer', async () => {
  const peer = new Peer()
  const { fetch, session } = start(peer, created())
  const whip = await session
  expect(fetch).toHaveBeenCalledTimes(1)
  const [url, init] = fetch.mock.calls[0] ?? []
  expect(url).toBe('http://v.example/whip/c1')
  expect(init).toMatchObject({ method: 'POST', body: offer, credentials: 'same-origin', headers: { 'Content-Type': 'application/sdp' } })
  expect(peer.remote).toContain('answer')
  expect(whip.resource).toBe('http://v.example/whip/c1/s1')
})

it('keeps the resolution and bounds the bitrate', async () => {
  const peer = new Peer()
  await start(peer, created()).session
  expect(peer.parameters).toEqual([{ encodings: [{ maxBitrate: 2_500_000 }], degradationPreference: 'maintain-resolution' }])
})

it('ends with one DELETE that outlives the page', async () => {
  const peer = new Peer()
  const { fetch, session } = start(peer, created())
  const whip = await session
  await whip.stop()
  await whip.stop()
  expect(fetch).toHaveBeenCalledTimes(2)
  expect(fetch.mock.calls[1]).toEqual(['http://v.example/whip/c1/s1', { method: 'DELETE', keepalive: true, credentials: 'same-origin' }])
  expect(peer.closed).toBe(true)
})

it('waits until the last packets left', async () => {
  const peer = new Peer()
  const whip = await start(peer, created()).session
  await whip.drain()
  expect(peer.senders[0]?.track).toBeNull()
  expect(peer.packets).toEqual([99])
})

it('says what the server says is wrong', async () => {
  const peer = new Peer()
  const refusal = new Response(JSON.stringify({ title: 'Conflict', status: 409, detail: 'This channel is live already.' }), { status: 409 })
  await expect(start(peer, refusal).session).rejects.toThrow('This channel is live already.')
  expect(peer.closed).toBe(true)
})

it('tells an unreachable server from one that refuses', async () => {
  await expect(start(new Peer(), new TypeError('failed to fetch')).session).rejects.toMatchObject({ status: 0 })
})

it('refuses an answer without a Location', async () => {
  await expect(start(new Peer(), created({})).session).rejects.toBeInstanceOf(ApiError)
})

it('does not send an offer nobody could reach', async () => {
  const { fetch, session } = start(new Peer('v=0\r\n'), created())
  await expect(session).rejects.toThrow(/no network/)
  expect(fetch).not.toHaveBeenCalled()
})

it('waits at most a second for candidates', async () => {
  vi.useFakeTimers()
  const peer = new Peer()
  peer.iceGatheringState = 'gathering'
  const { fetch, session } = start(peer, created())
  await vi.advanceTimersByTimeAsync(900)
  expect(fetch).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(200)
  await session
  expect(fetch).toHaveBeenCalledTimes(1)
  vi.useRealTimers()
})

it('resolves a relative Location against where the answer came from', () => {
  const answer = (location: string, url: string) => ({ headers: new Headers({ Location: location }), url })
  expect(resourceURL(answer('/whip/c/s', 'https://a.example/whip/c'), '/whip/c')).toBe('https://a.example/whip/c/s')
  expect(resourceURL(answer('https://b.example/r', 'https://a.example/whip/c'), '/whip/c')).toBe('https://b.example/r')
})
