import { describe, expect, it, vi } from 'vitest'
import { ApiError } from '../api/client'
import { WhipSession } from './whip'

const offer = 'v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n'

/** A peer connection that records what is done to it. */
class Peer extends EventTarget {
  iceGatheringState = 'complete'
  connectionState = 'new'
  signalingState = 'stable'
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
  offers: ({ iceRestart?: boolean } | undefined)[] = []
  async createOffer(wanted?: { iceRestart?: boolean }) {
    this.offers.push(wanted)
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

it('says goodbye before it closes the connection', async () => {
  const peer = new Peer()
  const { fetch, session } = start(peer, created())
  const whip = await session
  let closedBefore = true
  fetch.mockImplementationOnce(async () => {
    closedBefore = peer.closed
    return new Response()
  })
  await whip.stop()
  expect([closedBefore, peer.closed]).toEqual([false, true])
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

it('leaves the broadcast open when it is abandoned', async () => {
  const peer = new Peer()
  const { fetch, session } = start(peer, created())
  const whip = await session
  whip.abandon()
  await whip.stop()
  expect(fetch).toHaveBeenCalledTimes(1)
  expect(peer.closed).toBe(true)
})

describe('an ICE restart', () => {
  const credentials = 'a=ice-ufrag:mine\r\na=ice-pwd:minepwd\r\n'
  const withETag = () => new Response('v=0\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:oldpwd\r\n', { status: 201, headers: { Location: '/whip/c1/s1', ETag: '"e1"' } })

  async function restarted(answer: Response, first = withETag()) {
    const peer = new Peer(offer + credentials)
    const { fetch, session } = start(peer, first)
    const whip = await session
    fetch.mockImplementation(async () => answer.clone())
    return { peer, fetch, done: await whip.restart() }
  }

  it('sends the new credentials and takes those of the server', async () => {
    const fragment = 'a=ice-ufrag:new\r\na=ice-pwd:newpwd\r\na=candidate:7 1 udp 1 192.0.2.9 9 typ host\r\n'
    const { peer, fetch, done } = await restarted(new Response(fragment, { status: 200, headers: { ETag: '"e2"' } }))
    expect(done).toBe(true)
    expect(peer.offers).toEqual([undefined, { iceRestart: true }])
    const [url, init] = fetch.mock.calls[1] ?? []
    expect(url).toBe('http://v.example/whip/c1/s1')
    expect(init).toMatchObject({ method: 'PATCH', headers: { 'If-Match': '*', 'Content-Type': 'application/trickle-ice-sdpfrag' } })
    expect(init?.body).toContain('a=ice-ufrag:mine')
    expect(peer.remote).toContain('a=ice-ufrag:new')
    expect(peer.remote).toContain('a=candidate:7')
    expect(peer.remote).not.toContain('old')
  })

  it.each([
    ['refused', new Response('', { status: 422 })],
    ['taken as candidates only', new Response(null, { status: 204 })],
    ['answered with nothing of use', new Response('v=0', { status: 200 })],
  ])('%s calls for a new session', async (_name, answer) => {
    expect((await restarted(answer)).done).toBe(false)
  })

  it('is not tried where the server gave no ETag', async () => {
    const { fetch, done } = await restarted(new Response(''), created())
    expect(done).toBe(false)
    expect(fetch).toHaveBeenCalledTimes(1)
  })
})
