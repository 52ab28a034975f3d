import { describe, expect, it } from 'vitest'
import type { EventDelivery, LoggedEvent, Replay } from './api/types'
import { filtersOf, localInput, merge, mostKept, noFilters, only, parametersOf, percentOf, preciseTime, report, summaryOf } from './eventlog'

const event = (id: string, at: string, more: Partial<LoggedEvent> = {}): LoggedEvent => ({
  id, at, source: 's', detailType: 't', event: { detail: {} }, ...more,
})
const time = (s: number) => new Date(Date.UTC(2026, 10, 26, 12, 0, s)).toISOString()

describe('merge', () => {
  const ids = (list: LoggedEvent[]) => list.map((e) => e.id).join('')

  it('keeps the newest first, each once', () => {
    const list = merge([event('c', time(3)), event('a', time(1))], [event('b', time(1)), event('c', time(3)), event('d', time(4)), event('d', time(4))])
    expect(ids(list)).toBe('dcba')
  })

  it('gives back the same list when there is nothing new', () => {
    const known = [event('a', time(1))]
    expect(merge(known, [event('a', time(1))])).toBe(known)
  })

  it('forgets the oldest', () => {
    const many = Array.from({ length: mostKept + 5 }, (_, i) => event(`e${String(i).padStart(5, '0')}`, time(0)))
    const list = merge([], many)
    expect(list).toHaveLength(mostKept)
    expect(list.at(-1)!.id).toBe('e00005')
  })
})

it('forgets the deliveries of events that are not shown', () => {
  const known = { a: [], b: [] }
  expect(only(known, new Set(['b', 'c']))).toEqual({ b: [] })
  expect(only(known, new Set(['a', 'b', 'c']))).toBe(known)
})

describe('report', () => {
  const delivery = (more: Partial<EventDelivery>): EventDelivery => ({
    id: 'msg_1', eventId: 'e', source: 's', detailType: 't', state: 'pending', createdAt: '', tries: 0, trying: false, ruleId: 'ru-1', ruleName: 'r', ...more,
  })
  const made = delivery({})
  const trying = delivery({ tries: 1, trying: true })
  const failed = delivery({ tries: 1, last: { at: '', durationMillis: 1, error: '503' } })
  const done = delivery({ tries: 2, state: 'delivered' })

  it('follows a delivery', () => {
    let known = report({}, [made])
    for (const next of [trying, failed, done]) {
      known = report(known, [next])
      expect(known['e']).toEqual([next])
    }
  })

  it('does not believe what is older', () => {
    expect(report(report({}, [done]), [trying, failed, made])['e']).toEqual([done])
    expect(report(report({}, [failed]), [trying])['e']).toEqual([failed])
  })

  it('sees that a dead letter is redriven', () => {
    const dead = delivery({ tries: 12, state: 'dead' })
    expect(report(report({}, [dead]), [trying])['e']).toEqual([trying])
  })

  it('keeps those of other rules apart, and those of other events away', () => {
    const known = report({}, [made, delivery({ id: 'msg_2' }), delivery({ eventId: 'x' })], (id) => id === 'e')
    expect(Object.keys(known)).toEqual(['e'])
    expect(known['e']).toHaveLength(2)
  })
})

describe('filters', () => {
  it('go into the address and back', () => {
    const filters = { ...noFilters, source: 'a b', pattern: '{"x":["ü"]}' }
    expect(parametersOf({ ...filters, about: '  ' })).toEqual({ source: 'a b', pattern: '{"x":["ü"]}' })
    expect(filtersOf(new URLSearchParams(parametersOf(filters)))).toEqual(filters)
  })
})

it('sums an event up', () => {
  const detail = { TaskToken: '(masked)', event_name: 'Stream Start', channel_name: 'c', stream_id: 'st-1', video: {}, view_count: 0, ok: false, more: 'x' }
  expect(summaryOf(event('a', time(0), { about: 'st-1', event: { detail } }))).toBe('event_name Stream Start · view_count 0 · ok false')
  expect(summaryOf(event('a', time(0), { event: { detail: { a: 'x'.repeat(50) } } }))).toBe(`a ${'x'.repeat(39)}…`)
  expect(summaryOf(event('a', time(0), { event: null }))).toBe('')
})

it('shows how far a replay is', () => {
  const replay = { state: 'running', events: 200, lookedAt: 50 } as Replay
  expect([replay, { ...replay, lookedAt: 300 }, { ...replay, state: 'done' as const }, { ...replay, events: 0 }].map(percentOf)).toEqual([25, 99, 100, 0])
})

it('writes times', () => {
  const at = new Date(2026, 0, 2, 3, 4, 5, 6)
  expect(preciseTime(at.toISOString())).toBe('03:04:05.006')
  expect(preciseTime('x')).toBe('')
  expect(localInput(at)).toBe('2026-01-02T03:04')
})
