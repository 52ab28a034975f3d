import { expect, it, vi } from 'vitest'
import { WhepSession } from './whep'

const offer = 'v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n'

/** A peer connection that records what is done to it. */
class Peer extends EventTarget {
  iceGatheringState = 'complete'
  connectionState = 'new'
  localDescription: { sdp: string } | null = null
  remote = ''
  closed = false
  asked: [string, object][] = []
  addTransceiver(kind: string, init: object) {
    this.asked.push([kind, init])
    return {}
  }
  async createOffer() {
    return { type: 'offer', sdp: offer }
  }
  async setLocalDescription(d: { sdp: string }) {
    this.localDescription = d
  }
  async setRemoteDescription(d: { sdp: string }) {
    this.remote = d.sdp
    this.dispatchEvent(Object.assign(new Event('track'), { track: 'picture' }))
  }
  close() {
    this.closed = true
  }
}

function start(answer: Response | Error) {
  const peer = new Peer()
  const tracks: unknown[] = []
  const fetch = vi.fn(async (_url: RequestInfo | URL, _init?: RequestInit): Promise<Response> => {
    if (answer instanceof Error) throw answer
    return answer.clone()
  })
  const stream = () => ({ addTrack: (track: unknown) => tracks.push(track) }) as unknown as MediaStream
  const session = WhepSession.start({ endpoint: 'http://v.example/whep/c1', fetch, stream, peer: () => peer as unknown as RTCPeerConnection })
  return { peer, tracks, fetch, session }
}

const created = () => new Response('v=0\r\nanswer', { status: 201, headers: { Location: '/whep/c1/s1', Link: '<stun:s.example>; rel="ice-server"' } })

it('offers to receive picture and sound, and takes the answer', async () => {
  const { peer, tracks, fetch, session } = start(created())
  const whep = await session
  expect(peer.asked).toEqual([
    ['video', { direction: 'recvonly' }],
    ['audio', { direction: 'recvonly' }],
  ])
  const [url, init] = fetch.mock.calls[0] ?? []
  expect(url).toBe('http://v.example/whep/c1')
  expect(init).toMatchObject({ method: 'POST', body: offer, headers: { 'Content-Type': 'application/sdp' } })
  expect(peer.remote).toContain('answer')
  expect(tracks).toEqual(['picture'])
  expect(whep.resource).toBe('http://v.example/whep/c1/s1')
  expect(whep.iceServers).toEqual([{ urls: 'stun:s.example' }])
})

it('says why nothing fits, and closes what it opened', async () => {
  const refusal = new Response(JSON.stringify({ status: 406, detail: 'The stream has B-frames.' }), { status: 406 })
  const { peer, session } = start(refusal)
  await expect(session).rejects.toMatchObject({ status: 406, message: 'The stream has B-frames.' })
  expect(peer.closed).toBe(true)
})

it('ends with one DELETE', async () => {
  const { peer, fetch, session } = start(created())
  const whep = await session
  await whep.stop()
  await whep.stop()
  expect(fetch.mock.calls.slice(1)).toEqual([['http://v.example/whep/c1/s1', { method: 'DELETE', keepalive: true, credentials: 'same-origin' }]])
  expect(peer.closed).toBe(true)
})

it.each([
  [410, 'moved'],
  [404, 'gone'],
  [200, 'here'],
  [405, 'here'],
  [503, 'unknown'],
])('takes %d for %s', async (status, fate) => {
  const { fetch, session } = start(created())
  const whep = await session
  fetch.mockImplementation(async () => new Response('', { status }))
  expect(await whep.fate()).toBe(fate)
})

it('does not take a lost network for an answer', async () => {
  const { fetch, session } = start(created())
  const whep = await session
  fetch.mockRejectedValue(new TypeError('failed to fetch'))
  expect(await whep.fate()).toBe('unknown')
})
