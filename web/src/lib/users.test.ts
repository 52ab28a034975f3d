import { describe, expect, test } from 'vitest'
import type { Role } from './api/types'
import { confirms, foundText, lossOf, rolesOf, suspensionOf } from './users'

describe('rolesOf', () => {
  test.each<[Role[], Role[]]>([
    [['viewer'], ['viewer']],
    [['broadcaster', 'viewer'], ['broadcaster']],
    [['admin', 'broadcaster', 'viewer'], ['admin', 'broadcaster']],
    [[], ['viewer']],
  ])('%j shows as %j', (roles, shown) => expect(rolesOf({ roles })).toEqual(shown))
})

test('only a broadcaster has a broadcast and a channel to lose', () => {
  expect(suspensionOf({ roles: ['viewer'] })).not.toMatch(/broadcast|published/)
  expect(suspensionOf({ roles: ['broadcaster', 'viewer'] })).toMatch(/broadcast ends at once. What they published stays/)
  expect(lossOf({ roles: ['viewer'], email: 'vic@example.com' })).toBe('The account of vic@example.com is deleted.')
  expect(lossOf({ roles: ['broadcaster'], email: 'ada@example.com' })).toMatch(/ada@example\.com is deleted with its channel and all its videos/)
})

describe('confirms', () => {
  test.each([
    ['ada', true],
    [' Ada ', true],
    ['ad', false],
    ['ada@example.com', true],
    ['ada2', false],
    ['ada@example', false],
    ['', false],
  ])('%j: %s', (typed, is) => expect(confirms(typed, { username: 'ada', email: 'ada@example.com' })).toBe(is))
})

describe('foundText', () => {
  test.each([
    [0, false, 'No user is like that.'],
    [1, false, '1 user.'],
    [2, false, '2 users.'],
    [25, true, 'The newest 25 users.'],
  ])('%d, more: %s', (n, more, text) => expect(foundText(n, more)).toBe(text))
})
