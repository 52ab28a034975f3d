import { expect, it } from 'vitest'
import { Silence } from './silence'

/** Ticks as the studio does, with what sent says, until it is too long; how long that took in milliseconds. */
function patience(silence: Silence, sent: (ms: number) => number = () => 0): number {
  silence.reset()
  for (let ms = 0; ms <= 600_000; ms += 500) if (silence.tooLong(sent(ms), 1_000_000 + ms)) return ms
  return Infinity
}

/** No chance in it. */
const none = () => 0

it('notices that no picture leaves, from the start or later', () => {
  const silence = new Silence(none)
  expect(silence.tooLong(0, 1_000)).toBe(false)
  expect(silence.tooLong(0, 8_900)).toBe(false)
  expect(silence.tooLong(0, 9_000)).toBe(true)
  const later = new Silence(none)
  expect(later.tooLong(10, 10_000)).toBe(false)
  expect(later.tooLong(20, 19_000)).toBe(false)
  expect(later.tooLong(20, 27_000)).toBe(true)
})

it('begins anew with another connection', () => {
  const silence = new Silence(none)
  silence.tooLong(5, 0)
  silence.reset()
  expect(silence.tooLong(5, 20_000)).toBe(false)
  expect(silence.tooLong(5, 28_000)).toBe(true)
})

it('gives each new connection that is silent too longer, up to a minute', () => {
  const silence = new Silence(none)
  expect([1, 2, 3, 4, 5, 6].map(() => patience(silence))).toEqual([8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
})

it('is not fooled by a few bytes at the beginning of each', () => {
  const silence = new Silence(none)
  const stops = (ms: number) => Math.min(ms, 4_000)
  expect([1, 2, 3].map(() => patience(silence, stops))).toEqual([12_000, 20_000, 36_000])
})

it('is quick again once the picture has been sent for a while', () => {
  const silence = new Silence(none)
  for (let i = 0; i < 3; i++) patience(silence)
  expect(patience(silence, (ms) => Math.min(ms, 20_000))).toBe(28_000)
  expect(patience(silence)).toBe(16_000)
})

it('differs from studio to studio, within bounds', () => {
  expect(patience(new Silence(() => 0.999))).toBe(10_000)
  const silence = new Silence(() => 0.999)
  expect([1, 2, 3, 4, 5].map(() => patience(silence)).at(-1)).toBe(75_000)
})

it('does not count what never makes a picture at the server', () => {
  const silence = new Silence(none)
  /** Some bytes leave all the time; by then the server says what it gets. */
  const tick = (ms: number, arrives: boolean | null) => {
    silence.arrives(arrives, ms)
    return silence.tooLong(ms, ms)
  }
  expect(tick(0, null)).toBe(false)
  for (let ms = 500; ms < 8_000; ms += 500) expect(tick(ms, ms < 2_000 ? null : false)).toBe(false)
  expect(tick(9_500, false)).toBe(true)
  // The next connection is given longer, and one that brings pictures is left alone.
  expect(tick(10_000, false)).toBe(false)
  for (let ms = 10_500; ms < 20_000; ms += 500) expect(tick(ms, false)).toBe(false)
  for (let ms = 20_000; ms < 90_000; ms += 500) expect(tick(ms, true)).toBe(false)
})

it('believes the server for a while only', () => {
  const silence = new Silence(none)
  silence.arrives(false, 0)
  for (let ms = 0; ms < 60_000; ms += 500) expect(silence.tooLong(ms, ms)).toBe(false)
})

it('does not go by what was said of the connection before', () => {
  const silence = new Silence(none)
  silence.arrives(false, 0)
  silence.reset()
  for (let ms = 0; ms < 60_000; ms += 500) expect(silence.tooLong(ms, ms)).toBe(false)
})
