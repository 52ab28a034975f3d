import { expect, it } from 'vitest'
import type { Reaction } from '../events'
import { reactionsIn, Replay } from './replay'

function tag(...texts: [description: string, value: string][]): Uint8Array {
  const frames = texts.flatMap(([description, value]) => {
    const body = [3, ...new TextEncoder().encode(`${description}\0${value}`)]
    return [...'TXXX'].map((c) => c.charCodeAt(0)).concat([0, 0, body.length >> 7, body.length & 127, 0, 0], body)
  })
  return new Uint8Array([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, frames.length >> 7, frames.length & 127, ...frames])
}
const ours = 'serverlessvideo.reaction'
const heart = (more: object = {}) => tag([ours, JSON.stringify({ type: '❤️', x: 0.5, y: 0.25, userId: 'u', ...more })])

function replayed() {
  const replay = new Replay()
  const drawn: Reaction[] = []
  replay.listen((reaction) => drawn.push(reaction))
  return { replay, drawn }
}

it('finds reactions among other metadata', () => {
  expect(reactionsIn(tag(['other', '{"type":"x"}'], [ours, 'no json'], [ours, 'null'], [ours, '{"x":1}'], [ours, '{"type":"👏","x":7,"count":3}']))).toEqual([
    { reaction: { type: '👏', x: 1, y: 0, userId: '' }, count: 3 },
  ])
  expect(reactionsIn(heart({ count: 9_999 }))[0]?.count).toBe(12)
  expect(reactionsIn(heart({ count: -1 }))[0]?.count).toBe(1)
})

it('draws each at its moment, once', () => {
  const { replay, drawn } = replayed()
  replay.add(2, heart({ x: 0.2 }))
  replay.add(1, heart({ x: 0.1 }))
  replay.add(2, heart({ x: 0.2 })) // the segment was read again
  for (const now of [0.5, 0.75]) replay.advance(now)
  expect(drawn).toEqual([])
  replay.advance(1)
  expect(drawn.map((reaction) => reaction.x)).toEqual([0.1])
  for (const now of [1.5, 2, 2.5]) replay.advance(now)
  expect(drawn.map((reaction) => reaction.x)).toEqual([0.1, 0.2])
})

it('does not draw what was jumped over, and draws again what is seen again', () => {
  const { replay, drawn } = replayed()
  replay.add(5, heart())
  replay.advance(1)
  replay.advance(60)
  expect(drawn).toHaveLength(0)
  replay.advance(4.5)
  replay.advance(5.2)
  replay.advance(4.9)
  replay.advance(5.1)
  expect(drawn).toHaveLength(2)
})

it('shows a crowd as one', () => {
  const { replay, drawn } = replayed()
  replay.add(1, heart({ count: 4 }))
  replay.advance(0.9)
  replay.advance(1.1)
  expect(drawn).toHaveLength(4)
  expect(new Set(drawn.map((reaction) => reaction.x)).size).toBe(4)
})

it('stays within its memory', () => {
  const { replay, drawn } = replayed()
  for (let i = 0; i < 20_100; i++) replay.add(0.5, heart({ userId: String(i) }))
  replay.advance(0)
  replay.advance(1)
  expect(drawn).toHaveLength(20_000)
})
