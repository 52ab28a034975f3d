import { describe, expect, it } from 'vitest'
import { errorOf } from './api/client'
import type { Delivery, Rule } from './api/types'
import { counted, indexOf, inputOf, lastOf, lineAt, lookAgainIn, placeOf, targetFor, targetOf, targetPlaces, tries, whereabouts } from './rules'

describe('indexOf', () => {
  it.each([
    ['abc', 1, 1, 0],
    ['abc', 1, 3, 2],
    ['ab\ncd', 2, 1, 3],
    ['ab\ncd', 2, 2, 4],
    // ü has two bytes, 🎥 four bytes and two units.
    ['{"ü": x}', 1, 8, 6],
    ['{"🎥": x}', 1, 10, 7],
    // Beyond the end: the end.
    ['abc', 1, 99, 3],
    ['abc', 9, 1, 0],
    ['', 1, 1, 0],
  ])('%j, line %i, column %i is %i', (text, line, column, index) => {
    expect(indexOf(text, line, column)).toBe(index)
  })
})

describe('lineAt', () => {
  it.each([
    ['ab\ncdef\ng', 5, 'cd', 'ef'],
    ['abc', 0, '', 'abc'],
    ['abc\n', 4, '', ''],
    ['a\nb', 1, 'a', ''],
  ])('%j at %i', (text, index, before, from) => {
    expect(lineAt(text, index)).toEqual([before, from])
  })
})

it('finds the places in a problem document', async () => {
  const problem = {
    type: 'about:blank', title: 'Bad Request', status: 400, code: 'invalid', detail: 'body.pattern: no',
    errors: [{ location: 'body.name', message: 'no name' }, { location: 'body.pattern', message: 'no', line: 2, column: 7, path: 'a[0]' }],
  }
  const error = await errorOf(new Response(JSON.stringify(problem), { status: 400 }))
  const place = placeOf(error.places, 'body.pattern')
  expect(place?.message).toBe('no')
  expect(whereabouts(place!)).toBe('Line 2, column 7, at a[0]')
  expect(whereabouts({ message: 'x' })).toBe('')
  expect(whereabouts({ message: 'x', line: 1, column: 1 })).toBe('Line 1, column 1')
  expect(placeOf(error.places, 'body.target.url')).toBeUndefined()
})

describe('a rule', () => {
  const rule: Rule = {
    id: 'ru-1', name: 'n', description: 'd', enabled: false, pattern: '{}', target: { type: 'webhook', url: 'https://example.com:8443/x?y' },
    maxTries: 3, createdAt: '', updatedAt: '', waiting: 0, dead: 0, secret: 'whsec_x',
  }

  it('goes back without what the server adds', () => {
    expect(inputOf(rule)).toEqual({ name: 'n', description: 'd', enabled: false, pattern: '{}', target: rule.target, maxTries: 3 })
    expect(inputOf({ ...rule, target: { type: 'log', url: '' } }).target).toEqual({ type: 'log' })
  })

  it('says where its events go', () => {
    expect(targetOf(rule)).toBe('example.com:8443')
    expect(targetOf({ target: { type: 'log' } })).toBe('The log')
    expect(targetOf({ target: { type: 'webhook', url: 'x y' } })).toBe('x y')
    expect(targetOf({ target: { type: 'plugin', plugin: 'listener' } })).toBe('Plugin listener')
    expect(targetOf({ target: { type: 'flow', flow: 'postprocess' } })).toBe('Start postprocess')
    expect(targetOf({ target: { type: 'tag', tag: 'conf26' } })).toBe('Tag conf26')
  })

  it('has a target without what a form kept of another type', () => {
    const kept = { url: 'https://x.example', plugin: 'listener', flow: 'postprocess', tag: ' conf26 ' }
    expect(targetFor({ type: 'tag', ...kept })).toEqual({ type: 'tag', tag: 'conf26' })
    expect(targetFor({ type: 'plugin', ...kept })).toEqual({ type: 'plugin', plugin: 'listener' })
    expect(targetFor({ type: 'log', ...kept })).toEqual({ type: 'log' })
    expect(targetFor({ type: 'webhook' })).toEqual({ type: 'webhook', url: '' })
  })

  it('says which field of a target is wrong', () => {
    expect(targetPlaces([{ location: 'body.name', message: 'a' }, { location: 'body.target.tag', message: 'b' }, { message: 'c' }])).toEqual({ tag: 'b' })
  })
})

it('says what the last try came to', () => {
  const delivery: Delivery = { id: 'msg_1', eventId: 'e', source: 's', detailType: 't', state: 'pending', createdAt: '', tries: 0, trying: false }
  const span = (ms: number) => `${ms} ms`
  expect(lastOf(delivery, span)).toBe('Not tried yet')
  expect(lastOf({ ...delivery, tries: 1 }, span)).toBe('Being tried')
  expect(lastOf({ ...delivery, last: { at: '', durationMillis: 3, status: 503, error: '503: no' } }, span)).toBe('503: no')
  expect(lastOf({ ...delivery, last: { at: '', durationMillis: 3, status: 204 } }, span)).toBe('204 in 3 ms')
  expect(lastOf({ ...delivery, last: { at: '', durationMillis: 0 } }, span)).toBe('Done in 0 ms')
})

it('counts', () => {
  expect([tries(1), tries(2), counted(999), counted(1000)]).toEqual(['1 try', '2 tries', '999', '1,000 or more'])
})

it('is looked at soon while something waits', () => {
  const row = { state: 'dead' } as Delivery
  expect(lookAgainIn([row])).toBeGreaterThan(lookAgainIn([row, { ...row, state: 'pending' }]))
})
