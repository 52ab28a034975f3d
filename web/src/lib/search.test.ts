import { expect, it } from 'vitest'
import { asksForSearch, resultsText, searchPath } from './search'

it('keeps the question in the address', () => {
  expect(searchPath('  ')).toBe('/')
  expect(searchPath(' night & market ')).toBe('/?q=night+%26+market')
})

it('says how many there are', () => {
  expect(resultsText('x', 0, false)).toBe('No video matches “x”.')
  expect(resultsText('x', 1, false)).toBe('1 video matches “x”.')
  expect(resultsText('x', 3, false)).toBe('3 videos match “x”.')
  expect(resultsText('x', 24, true)).toBe('The newest 24 videos that match “x”.')
})

it('takes a slash as a wish to search, but not where it is typed', () => {
  const press = { key: '/', ctrlKey: false, metaKey: false, altKey: false, target: null }
  expect(asksForSearch(press)).toBe(true)
  expect(asksForSearch({ ...press, key: 'a' })).toBe(false)
  expect(asksForSearch({ ...press, ctrlKey: true })).toBe(false)
  const within = { closest: () => ({}) } as unknown as EventTarget
  expect(asksForSearch({ ...press, target: within })).toBe(false)
})
