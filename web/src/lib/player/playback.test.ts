import { beforeEach, describe, expect, it, vi } from 'vitest'
import { notices } from '../notices.svelte'
import type { Attached } from './attach'
import { LivePlayback } from './playback.svelte'

const noon = Date.parse('2026-11-22T12:00:00Z')
/** This device's clock is a quarter of an hour slow; nothing may depend on it. */
const skew = -900_000
const broadcast = { channel: 'c 1', streamId: 'st-1', since: new Date(noon).toISOString() }

function player(more: Partial<Attached> = {}): Attached & { seek: ReturnType<typeof vi.fn>; toLive: ReturnType<typeof vi.fn> } {
  return {
    latency: () => 1.5, date: () => null, edge: () => null, time: () => 0, toLive: vi.fn(), seek: vi.fn(), levels: () => [], level: () => -1, height: () => 720, choose: vi.fn(), detach: vi.fn(),
    ...more,
  } as never
}

/** A playback ten minutes into the broadcast. */
function tenMinutesIn(way: 'hls' | 'webrtc' = 'hls') {
  const playback = new LivePlayback(broadcast, way)
  const at = noon + 600_000
  const now = at + skew
  playback.attachedTo(player({ edge: () => at, date: () => at - 1_500 }))
  playback.tick(now, true)
  return { playback, now, at }
}

beforeEach(() => {
  vi.spyOn(notices, 'show').mockImplementation(() => {})
  return () => vi.restoreAllMocks()
})

describe('at the edge', () => {
  it('plays what was chosen', () => {
    expect(new LivePlayback(broadcast, 'hls').source).toEqual({ kind: 'live', url: '/live/c%201/master.m3u8' })
    expect(new LivePlayback(broadcast, 'webrtc').source).toEqual({ kind: 'webrtc', url: '/whep/c%201?beacons=1' })
  })

  it("goes by the server's clock", () => {
    const { playback } = tenMinutesIn()
    expect(playback.length).toBeCloseTo(600)
    expect(playback.latency).toBe(1.5)
    expect(playback.rewound).toBe(false)
  })

  it('jumps forth once when it lags', () => {
    const { playback, now } = tenMinutesIn()
    const late = player({ latency: () => 14 })
    playback.attachedTo(late)
    playback.tick(now, false)
    expect(late.toLive).not.toHaveBeenCalled()
    for (let i = 0; i < 10; i++) playback.tick(now + i * 500, true)
    expect(late.toLive).toHaveBeenCalledTimes(1)
  })
})

describe('a player that is stuck', () => {
  /** Ticks for so many seconds with the edge going on, and says how often the source was attached anew. */
  function stuckFor(seconds: number, playing = true) {
    const { playback, now, at } = tenMinutesIn()
    const before = playback.attempt
    let clock = 0
    playback.attachedTo(player({ edge: () => at + clock, time: () => 600 }))
    for (; clock <= seconds * 1000; clock += 500) {
      const attempt = playback.attempt
      playback.tick(now + clock, playing)
      if (playback.attempt > attempt) playback.attachedTo(player({ edge: () => at + clock, time: () => 600 }))
    }
    return playback.attempt - before
  }

  it('is attached anew, again and again', () => {
    expect(stuckFor(8)).toBe(0)
    expect(stuckFor(12)).toBe(1)
    expect(stuckFor(25)).toBe(2)
  })

  it('but not while it is paused', () => expect(stuckFor(30, false)).toBe(0))
})

describe('rewinding', () => {
  it('changes the source, with the date of the moment', () => {
    const { playback, now, at } = tenMinutesIn()
    playback.rewind(120, now)
    expect(playback.source).toEqual({ kind: 'dvr', url: '/live/c%201/st-1/dvr.m3u8', at: { date: at - 120_000, behind: 120 } })
    expect(playback.rewound).toBe(true)
  })

  it('seeks within the past without a change of source', () => {
    const { playback, now, at } = tenMinutesIn()
    playback.rewind(120, now)
    const source = playback.source
    const past = player({ date: () => at - 120_000, edge: () => at })
    playback.attachedTo(past)
    playback.tick(now, true)
    expect(playback.behind).toBeCloseTo(120)
    playback.step(-10)
    expect(playback.source).toBe(source)
    expect(past.seek).toHaveBeenCalledTimes(1)
    expect(past.seek.mock.calls[0]?.[0]).toMatchObject({ behind: 130 })
  })

  it('begins anew elsewhere while the past is still on its way', () => {
    const { playback, now } = tenMinutesIn()
    playback.rewind(120, now)
    const loading = player()
    playback.attachedTo(loading)
    playback.step(-10)
    expect(loading.seek).not.toHaveBeenCalled()
    expect(playback.source).toMatchObject({ kind: 'dvr', at: { behind: 130 } })
  })

  it('is live again near the edge, and never before the start', () => {
    const { playback, now, at } = tenMinutesIn()
    playback.rewind(9_999, now)
    expect(playback.source).toMatchObject({ kind: 'dvr', at: { behind: 600, date: at - 600_000 } })
    playback.rewind(3, now)
    expect(playback.source.kind).toBe('live')
    playback.rewind(60, now)
    playback.toLive()
    expect(playback.source.kind).toBe('live')
  })

  it('comes back to WebRTC where that was chosen', () => {
    const { playback, now } = tenMinutesIn('webrtc')
    playback.rewind(60, now)
    expect(playback.source.kind).toBe('dvr')
    playback.toLive()
    expect(playback.source.kind).toBe('webrtc')
  })

  it('is not offered in the first seconds, nor without a stream', () => {
    const fresh = new LivePlayback({ ...broadcast, streamId: '' }, 'hls')
    fresh.length = 600
    expect(fresh.canRewind).toBe(false)
    const young = new LivePlayback(broadcast, 'hls')
    young.length = 5
    young.rewind(4)
    expect(young.source.kind).toBe('live')
  })

  it('goes back to the edge when the past cannot be had', () => {
    const { playback, now } = tenMinutesIn()
    playback.rewind(60, now)
    expect(playback.failed('missing')).toBe(true)
    expect(playback.source.kind).toBe('live')
  })

  it('attaches again where the picture was', () => {
    const { playback, now, at } = tenMinutesIn()
    playback.rewind(60, now)
    playback.behind = 61
    playback.again(now + 1_000)
    expect(playback.source).toMatchObject({ kind: 'dvr', at: { behind: 61 } })
    expect((playback.source as { at: { date: number } }).at.date).toBeCloseTo(at + 1_000 - 61_000, -2)
  })
})

describe('a pause', () => {
  it('of a moment changes nothing', () => {
    const { playback, now } = tenMinutesIn()
    playback.paused(now)
    playback.resumed(now + 2_000)
    expect(playback.source.kind).toBe('live')
  })

  it('goes on where it was after a while', () => {
    const { playback, now, at } = tenMinutesIn()
    playback.paused(now)
    playback.resumed(now + 60_000)
    expect(playback.source).toMatchObject({ kind: 'dvr', at: { date: at - 1_500 } })
  })
})

describe('WebRTC that does not work', () => {
  it('falls back and says so once', () => {
    const playback = new LivePlayback(broadcast, 'webrtc')
    expect(playback.failed('unfit', 'The stream has B-frames.')).toBe(true)
    expect(playback.source.kind).toBe('live')
    expect(playback.way).toBe('hls')
    expect(notices.show).toHaveBeenCalledTimes(1)
    expect(notices.show).toHaveBeenCalledWith('The stream has B-frames. You now watch with low latency.', 'info')
    expect(playback.failed('network')).toBe(false) // HLS's failures are the page's business
    expect(notices.show).toHaveBeenCalledTimes(1)
  })

  it('is tried again before it is given up', () => {
    const playback = new LivePlayback(broadcast, 'webrtc')
    expect(playback.failed('missing')).toBe(false)
    expect(playback.failed('network')).toBe(false)
    expect(playback.failed('network')).toBe(true)
    const other = new LivePlayback(broadcast, 'webrtc')
    for (let i = 0; i < 5; i++) {
      expect(other.failed('network')).toBe(false)
      other.playing()
    }
  })

  it('can be chosen again', () => {
    const playback = new LivePlayback(broadcast, 'webrtc')
    playback.failed('unfit')
    playback.choose('webrtc')
    expect(playback.source.kind).toBe('webrtc')
  })
})
