import { describe, expect, it } from 'vitest'
import { clock, compact, count, hueOf, longFor, recordings, relative, span, spokenDuration, titleOf, viewers, size } from './format'

describe('clock', () => {
  it.each([
    [0, '0:00'],
    [999, '0:00'],
    [65_000, '1:05'],
    [3_725_000, '1:02:05'],
    [-5, '0:00'],
    [Number.NaN, '0:00'],
  ])('%d ms is %s', (ms, text) => expect(clock(ms)).toBe(text))
})

describe('span', () => {
  it.each([
    [12, '12 ms'],
    [1_440, '1.4 s'],
    [9_960, '10 s'],
    [59_400, '59 s'],
    [59_600, '1 min'],
    [125_000, '2 min 5 s'],
    [3_600_000, '1 h'],
    [11_520_000, '3 h 12 min'],
    [-1, '0 ms'],
  ])('%d ms is %s', (ms, text) => expect(span(ms)).toBe(text))
})

it('speaks durations', () => {
  expect(spokenDuration(65_000)).toBe('1 minute 5 seconds')
  expect(spokenDuration(3_601_000)).toBe('1 hour 1 second')
  expect(spokenDuration(0)).toBe('0 seconds')
})

describe('relative', () => {
  const now = Date.parse('2026-11-22T12:00:00Z')
  it.each([
    ['2026-11-22T11:59:40Z', 'just now'],
    ['2026-11-22T11:55:00Z', '5 minutes ago'],
    ['2026-11-22T09:00:00Z', '3 hours ago'],
    ['2026-11-21T10:00:00Z', 'yesterday'],
    ['2026-11-08T12:00:00Z', '2 weeks ago'],
    ['2026-03-12T12:00:00Z', 'March 12, 2026'],
    ['not a time', ''],
    ['2026-11-22T12:00:05Z', 'just now'], // a clock that runs ahead
  ])('%s is %s', (time, text) => expect(relative(time, now)).toBe(text))
})

it('says how long something lasts', () => {
  const now = Date.parse('2026-11-22T12:00:00Z')
  expect(longFor('2026-11-22T11:59:50Z', now)).toBe('a moment')
  expect(longFor('2026-11-22T11:17:00Z', now)).toBe('43 minutes')
  expect(longFor('2026-11-22T10:00:00Z', now)).toBe('2 hours')
  expect(longFor('nonsense', now)).toBe('a moment')
})

it('counts viewers', () => {
  expect(viewers(1)).toBe('1 viewer')
  expect(viewers(0)).toBe('0 viewers')
  expect(compact(1234)).toBe('1.2K')
})

it('names videos without a title by their time', () => {
  expect(titleOf({ title: ' Hello ', createdAt: '' })).toBe('Hello')
  expect(titleOf({ title: '  ', createdAt: '2026-11-22T12:00:00Z' })).toMatch(/^Broadcast of /)
  expect(titleOf({ createdAt: 'x' })).toBe('Broadcast')
})

it('gives an id one hue', () => {
  expect(hueOf('01abc')).toBe(hueOf('01abc'))
  expect(hueOf('01abc')).not.toBe(hueOf('01abd'))
  for (const id of ['', 'a', '01m82dfzsn', 'x'.repeat(100)]) {
    expect(hueOf(id)).toBeGreaterThanOrEqual(190)
    expect(hueOf(id)).toBeLessThan(370)
  }
})

it('says how much bytes are', () => {
  expect([0, 999, 1000, 23_456_789, 999_600_000, 1_250_000_000, 4e14].map(size)).toEqual([
    '0 bytes', '999 bytes', '1.0 kB', '23.5 MB', '1.0 GB', '1.3 GB', '400 TB',
  ])
})

it('counts in words', () => {
  expect([0, 999, 1234].map((n) => count(n))).toEqual(['0', '999', '1,234'])
  expect(recordings(1)).toBe('1 recording')
  expect(recordings(2)).toBe('2 recordings')
  expect(recordings(1200)).toBe('1,200 recordings')
})
