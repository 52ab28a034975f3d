import { expect, it } from 'vitest'
import { Silence } from './silence'

it('notices that no picture leaves, from the start or later', () => {
  const silence = new Silence()
  expect(silence.tooLong(0, 1_000)).toBe(false)
  expect(silence.tooLong(0, 8_900)).toBe(false)
  expect(silence.tooLong(0, 9_000)).toBe(true)
  expect(silence.tooLong(10, 10_000)).toBe(false)
  expect(silence.tooLong(20, 19_000)).toBe(false)
  expect(silence.tooLong(20, 27_000)).toBe(true)
})

it('begins anew with another connection', () => {
  const silence = new Silence()
  silence.tooLong(5, 0)
  silence.reset()
  expect(silence.tooLong(5, 20_000)).toBe(false)
  expect(silence.tooLong(5, 28_000)).toBe(true)
})
