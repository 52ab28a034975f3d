import { expect, it } from 'vitest'
import type { HistoryEntry, HistoryService } from './api/types'
import { layOut } from './timeline'

const step = (second: number, key: string, more: Partial<HistoryService> = {}): HistoryEntry => ({
  type: 'service',
  createdAt: new Date(Date.UTC(2026, 10, 22, 12, 0, second)).toISOString(),
  videoId: 'st-1',
  key,
  icon: 'gear',
  title: key,
  subtitle: '',
  description: '',
  ...more,
})

it('orders steps by time, whatever the order of the answer', () => {
  const { steps, total } = layOut([step(5, 'b'), step(0, 'a'), step(9, 'c')])
  expect(steps.map((s) => s.key)).toEqual(['a', 'b', 'c'])
  expect(steps.map((s) => s.after)).toEqual([null, 5000, 4000])
  expect(total).toBe(9000)
})

it('puts steps under their parent, and orphans at the top', () => {
  const { steps } = layOut([step(0, 'hook'), step(2, 'plugin', { parent: 'hook' }), step(3, 'lost', { parent: 'unknown' })])
  expect(steps.map((s) => s.key)).toEqual(['hook', 'lost'])
  expect(steps[0]?.children.map((s) => s.key)).toEqual(['plugin'])
  expect(steps[0]?.children[0]?.after).toBe(2000)
})

it('keeps the newest value of a metric', () => {
  const metric = (value: string): HistoryEntry => ({ type: 'metric', createdAt: '2026-11-22T12:00:00Z', videoId: 'st-1', key: 'peak', label: 'Peak', value })
  expect(layOut([metric('1'), metric('1,234')]).metrics).toEqual([{ key: 'peak', label: 'Peak', value: '1,234' }])
})

it('shares the bar by time', () => {
  const { bars } = layOut([step(0, 'a'), step(3, 'b'), step(4, 'c')])
  expect(bars.map((b) => [b.key, b.share])).toEqual([
    ['a', 0.75],
    ['b', 0.25],
  ])
  expect(layOut([step(0, 'a'), step(0, 'b')]).bars).toEqual([])
})

it('colours by icon, also one that is not known yet', () => {
  const tone = (icon: string) => layOut([step(0, 'a', { icon: icon as HistoryService['icon'] })]).steps[0]?.tone
  expect(['live', 'film', 'plug', 'check', 'alert', 'rocket'].map(tone)).toEqual(['live', 'work', 'plugin', 'ok', 'bad', 'plain'])
})
