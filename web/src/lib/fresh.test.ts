import { expect, it } from 'vitest'
import { freshURL } from './fresh'

it('changes the address every half minute, for all viewers alike', () => {
  expect(freshURL('/live/c/thumb.jpg', 60_000)).toBe('/live/c/thumb.jpg?t=2')
  expect(freshURL('/live/c/thumb.jpg', 89_999)).toBe('/live/c/thumb.jpg?t=2')
  expect(freshURL('/live/c/thumb.jpg?v=1', 90_000)).toBe('/live/c/thumb.jpg?v=1&t=3')
})
