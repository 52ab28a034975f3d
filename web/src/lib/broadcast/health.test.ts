import { describe, expect, it } from 'vitest'
import type { Health } from '../api/types'
import { bitrate, Calm, judge, percent, qualities } from './health'

const fine: Health = {
  streamId: 'st-1', protocol: 'WHIP', reconnecting: false, videoCodec: 'H264', audioCodec: 'Opus', width: 1280, height: 720, frameRate: 30, bitrate: 2_500_000,
  keyFrameInterval: 2, packetsLost: 0, lossPercent: 0, jitterMillis: 4, roundTripMillis: 20, viewers: 3, rungs: [], advice: [],
}

describe('judge', () => {
  it.each<[string, Partial<Health>, string, RegExp | string]>([
    ['all is well', {}, 'good', ''],
    ['a little loss', { lossPercent: 1.24 }, 'fair', '1.2 % of the packets are lost'],
    ['much loss', { lossPercent: 12.4 }, 'poor', '12 % of the packets are lost'],
    ['the broadcaster is away', { reconnecting: true, lossPercent: 2 }, 'poor', /Nothing arrives/],
    ['few pictures', { frameRate: 15 }, 'fair', '15 pictures a second'],
    ['hardly any pictures', { frameRate: 6 }, 'poor', /Only 6/],
    ['no picture measured yet', { frameRate: 0, bitrate: 0 }, 'good', ''],
    ['rare key frames', { keyFrameInterval: 8 }, 'fair', 'A key frame every 8 s only'],
    ['a far server', { roundTripMillis: 400 }, 'fair', /slow/],
    ['an uneven line', { jitterMillis: 90 }, 'fair', /uneven/],
    ['little data for its size', { bitrate: 500_000 }, 'fair', /little data/],
    ['little data for a small picture', { bitrate: 500_000, height: 360 }, 'good', ''],
  ])('when %s', (_name, more, grade, why) => {
    const judged = judge({ ...fine, ...more })
    expect(judged.grade).toBe(grade)
    expect(judged.why).toMatch(why instanceof RegExp ? why : new RegExp(`^${why}$`))
  })
})

it('keeps calm', () => {
  const good = { grade: 'good', why: '' } as const
  const poor = { grade: 'poor', why: 'x' } as const
  const calm = new Calm()
  const take = (...all: (typeof good | typeof poor)[]) => all.map((next) => calm.take(next).grade)
  expect(take(poor, poor, poor)).toEqual(['good', 'good', 'good']) // a stream begins poorly
  expect(take(good, poor, good)).toEqual(['good', 'good', 'good'])
  expect(take(poor, poor)).toEqual(['good', 'poor'])
  expect(take(good, good, good, poor, good, good, good, good)).toEqual(['poor', 'poor', 'poor', 'poor', 'poor', 'poor', 'poor', 'good'])
  expect(calm.take({ grade: 'good', why: '' }).why).toBe('')
})

it('writes figures', () => {
  expect([2_480_000, 999_600, 640_000, 0, -1, Number.NaN].map(bitrate)).toEqual(['2.5 Mbit/s', '1.0 Mbit/s', '640 kbit/s', '0 kbit/s', '0 kbit/s', '0 kbit/s'])
  expect([0, 0.04, 1.25, 14.6].map(percent)).toEqual(['0 %', '0 %', '1.3 %', '15 %'])
})

it('names what viewers can choose between', () => {
  const rungs: Health['rungs'] = [
    { name: 'source', state: 'on', bitrate: 2_400_000 },
    { name: 'AAC', state: 'on', reason: 'AAC is made of your Opus.' },
    { name: '480p', state: 'on', bitrate: 900_000, reason: '480p is made for viewers with a slow connection.' },
    { name: '360p', state: 'refused', reason: 'There is no 360p: the server is busy.' },
  ]
  expect(qualities({ ...fine, rungs })).toEqual([
    { name: '720p', what: 'As you send it', state: 'on' },
    { name: 'AAC', what: 'AAC is made of your Opus.', state: 'on' },
    { name: '480p', what: '900 kbit/s', state: 'on' },
    { name: '360p', what: 'There is no 360p: the server is busy.', state: 'refused' },
  ])
})
