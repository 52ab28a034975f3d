import { describe, expect, it } from 'vitest'
import type { SimulatedVideo, Simulation } from './api/types'
import { doing, inWork, isSimulated, lookOf, moves, tally } from './simulations'

const none = { count: 0, p50: 0, p95: 0, max: 0 }

function run(change: Partial<Simulation>, counts: Partial<Simulation['counts']> = {}): Simulation {
  return {
    id: 'sim-1', state: 'removed', ending: 'finished', createdAt: '2026-11-26T12:00:00Z', asked: 1, atOnce: 4, keep: false, total: 1,
    percent: 100, counts: { waiting: 0, working: 0, valid: 0, invalid: 0, failed: 0, dropped: 0, ...counts },
    measures: { processing: none, lifecycle: none, whole: none, perMinute: 0, speed: 0 }, skipped: [], ...change,
  }
}

function video(change: Partial<SimulatedVideo>): SimulatedVideo {
  return {
    id: 'sim-1-1', number: 1, original: 'st-1', channel: 'c', duration: 12_000, state: 'valid', percent: 100, processing: 0,
    lifecycle: 0, whole: 0, ...change,
  }
}

describe('lookOf', () => {
  it.each([
    [run({ state: 'running', ending: undefined }), 'Running', true],
    [run({ state: 'removing' }), 'Removing', true],
    [run({ state: 'removed' }, { valid: 2 }), 'Finished', false],
    [run({ state: 'kept' }, { valid: 2, failed: 1 }), 'Finished, with failures', false],
    [run({ ending: 'stopped' }), 'Stopped', false],
    [run({ ending: 'abandoned' }), 'Abandoned', false],
    [run({ ending: 'overdue' }), 'Took too long', false],
  ])('%#', (simulation, label, changes) => {
    expect(lookOf(simulation).label).toBe(label)
    expect(moves(simulation)).toBe(changes)
  })
})

describe('doing', () => {
  it.each([
    [video({ state: 'waiting' }), 'Not replayed yet', false],
    [video({ state: 'processing' }), 'Waiting for its turn', true],
    [video({ state: 'processing', step: 'storyboard' }), 'Making previews', true],
    [video({ state: 'plugins' }), 'With the plugins', true],
    [video({ state: 'valid', whole: 1400 }), 'Valid after 1.4 s', false],
    [video({ state: 'invalid', whole: 900, reason: 'too short' }), 'Invalid after 900 ms: too short', false],
    [video({ state: 'dropped' }), 'Not finished', false],
    [video({ state: 'dropped', reason: 'It was deleted.' }), 'It was deleted.', false],
  ])('%#', (one, text, working) => {
    expect(doing(one)).toBe(text)
    expect(inWork(one)).toBe(working)
  })
})

it('tells what became of the videos', () => {
  expect(tally(run({}, { valid: 3, failed: 1, dropped: 2 }))).toBe('3 valid · 1 failed · 2 not finished')
  expect(isSimulated('sim-1-1')).toBe(true)
  expect(isSimulated('st-1')).toBe(false)
})
