import { describe, expect, it } from 'vitest'
import { dateOf, EdgeClock, timeOf } from './clock'

// Three segments of 2 s, then the broadcaster was away for 40 s, then two more.
const noon = Date.parse('2026-11-22T12:00:00Z')
const pieces = [0, 2, 4, 46, 48].map((second, i) => ({ start: i * 2, duration: 2, programDateTime: noon + second * 1000 }))
const undated = pieces.map((piece) => ({ ...piece, programDateTime: null }))

describe('timeOf', () => {
  it.each([
    ['the start', { date: noon, behind: 0 }, 0],
    ['within a segment', { date: noon + 3_500, behind: 0 }, 3.5],
    ['while nobody sent', { date: noon + 20_000, behind: 0 }, 6],
    ['after that', { date: noon + 47_000, behind: 0 }, 7],
    ['before the start', { date: noon - 60_000, behind: 0 }, 0],
    ['later than all there is', { date: noon + 900_000, behind: 0 }, 10],
    ['a distance only', { behind: 3 }, 7],
    ['a distance beyond the start', { behind: 900 }, 0],
  ])('finds %s', (_name, moment, time) => expect(timeOf(pieces, moment)).toBe(time))

  it('goes by the distance where a playlist has no dates', () => {
    expect(timeOf(undated, { date: noon, behind: 4 })).toBe(6)
    expect(timeOf([], { behind: 4 })).toBe(0)
  })
})

describe('dateOf', () => {
  it('is the way back', () => {
    expect(dateOf(pieces, 0)).toBe(noon)
    expect(dateOf(pieces, 3.5)).toBe(noon + 3_500)
    expect(dateOf(pieces, 7)).toBe(noon + 47_000)
    expect(dateOf(pieces, 11)).toBe(noon + 51_000)
    expect(dateOf(undated, 3)).toBeNull()
    expect(dateOf([], 3)).toBeNull()
  })
})

describe('EdgeClock', () => {
  it('keeps to the freshest arrival, whatever this clock says', () => {
    const clock = new EdgeClock()
    expect(clock.known).toBe(false)
    expect(clock.at(5)).toBe(5)
    clock.observe(noon, 1_000)
    clock.observe(noon, 3_000) // looked at again, two seconds old
    expect(clock.at(3_000)).toBeCloseTo(noon + 2_000, -1)
    clock.observe(noon + 4_500, 5_000) // a fresher one
    expect(clock.at(5_000)).toBe(noon + 4_500)
  })

  it('forgets a wrong date in time', () => {
    const clock = new EdgeClock()
    clock.observe(noon + 10_000, 0)
    for (let i = 0; i < 6_000; i++) clock.observe(noon, 0)
    expect(clock.at(0)).toBe(noon)
  })
})
