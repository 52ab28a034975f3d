import { expect, it } from 'vitest'
import { Stall } from './stall'

/** Half a second of life for each step; says after how many seconds it was stuck first, 0 for never. */
function watch(seconds: number, at: (second: number) => { time: number; edge: number }): number {
  const stall = new Stall()
  for (let s = 0.5; s <= seconds; s += 0.5) {
    const { time, edge } = at(s)
    if (stall.note(time, edge * 1000, s * 1000)) return s
  }
  return 0
}

it.each([
  ['plays', (s: number) => ({ time: s, edge: s + 2 }), 0],
  ['plays a little now and then', (s: number) => ({ time: Math.floor(s / 6), edge: s + 2 }), 0],
  ['stands with the broadcast going on', (s: number) => ({ time: Math.min(s, 5), edge: s + 2 }), 15.5],
  ['is made to jump and stands', (s: number) => ({ time: Math.floor(s / 8) * 8, edge: s + 2 }), 11],
  ['waits for a broadcaster who is away', () => ({ time: 5, edge: 7 }), 0],
])('a player that %s', (_name, at, stuck) => expect(watch(60, at)).toBe(stuck))

it('begins anew with each source', () => {
  const stall = new Stall()
  stall.note(5, 0, 1_000)
  stall.reset()
  expect(stall.note(5, 20_000, 20_000)).toBe(false)
  expect(stall.note(5, 31_000, 31_000)).toBe(true)
})
