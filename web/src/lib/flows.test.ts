import { describe, expect, it } from 'vitest'
import type { Flow, FlowActivity, FlowDetail, FlowStep } from './api/types'
import { attemptOf, doingOf, flowName, isBad, isOver, placeName, retryText, shares, tookOf } from './flows'

const at = (ms: number) => new Date(ms).toISOString()
const flow = (id: string, more: Partial<Flow> = {}): Flow => ({
  id, name: 'lifecycle', status: 'running', attempts: 1, createdAt: at(1000), updatedAt: at(1000), ...more,
})

describe('names', () => {
  it('knows the flows of this version and shows others as they are', () => {
    expect(flowName('postprocess')).toBe('Post-processing')
    expect(flowName('other')).toBe('other')
    expect([attemptOf('life-st-1'), attemptOf('life-st-1.2'), attemptOf('life-st-1.12')]).toEqual([1, 2, 12])
    expect([isOver('queued'), isOver('running'), isOver('done'), isOver('cancelled')]).toEqual([false, false, true, true])
  })
})

it('takes the time from the end, or from now', () => {
  expect(tookOf(flow('a', { endedAt: at(3500) }), 9000)).toBe(2500)
  expect(tookOf(flow('a'), 9000)).toBe(8000)
  expect(tookOf(flow('a'), 0)).toBe(0)
})

it('tells a flow that is done from one that did its work', () => {
  expect([undefined, 'done', 'failed', 'invalid'].map((outcome) => isBad(flow('a', { outcome })))).toEqual([false, false, true, true])
})

describe('what it does', () => {
  const doing = (more: Partial<FlowActivity>): FlowActivity => ({ step: 's', since: at(10_000), waits: false, tries: 1, failedTries: [], ...more })
  it.each([
    [doing({}), 'Since 5.0 s.'],
    [doing({ tries: 3 }), 'Try 3, since 5.0 s.'],
    [doing({ tries: 3, nextTryAt: at(17_000) }), 'Try 3 failed; the next one comes in 2.0 s.'],
    [doing({ waits: true }), 'Waits since 5.0 s.'],
    [doing({ waits: true, until: at(75_000) }), 'Waits since 5.0 s, for 1 min more at most.'],
    [doing({ waits: true, until: at(14_000) }), 'Waits since 5.0 s, for 0 ms more at most.'],
  ])('%j', (now, words) => expect(doingOf(now, 15_000)).toBe(words))
})

it('says where the time went', () => {
  const step = (name: string, durationMillis: number, state: FlowStep['state'] = 'done'): FlowStep => ({
    name, durationMillis, state, startedAt: at(0), endedAt: at(0), tries: 1, failedTries: [],
  })
  expect(shares([])).toEqual([])
  expect(shares([step('a', 0)])).toEqual([])
  expect(shares([step('a', 750), step('b', 2), step('c', 248, 'failed')])).toEqual([
    { name: 'a', ms: 750, share: 0.75, bad: false },
    { name: 'c', ms: 248, share: 0.248, bad: true },
  ])
})

it('says what a retry means', () => {
  const detail = (more: Partial<FlowDetail>): FlowDetail => ({ ...flow('life-x'), steps: [], retry: { possible: true, from: [] }, ...more })
  expect(retryText(detail({}))).toContain('its own id')
  expect(retryText(detail({ retry: { possible: true, newId: 'life-x.2', from: [] } }))).toContain('life-x.2. Answers that passed')
  expect(retryText(detail({ name: 'postprocess', retry: { possible: true, newId: 'post-x.2', from: [] } }))).toContain('first step: post-x.2')
  expect(placeName(detail({}), 'mp4')).toBe('From “Make the MP4” on')
  expect(placeName(detail({ retry: { possible: true, newId: 'life-x.2', from: [] } }), 'preValidate')).toBe('All plugins from preValidate on')
})
