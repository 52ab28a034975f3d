import { expect, it } from 'vitest'
import { tokenIn } from './token'

it('finds the token in the fragment, else in the query', () => {
  expect(tokenIn('#token=a-b_c', '')).toBe('a-b_c')
  expect(tokenIn('', '?token=abc&x=1')).toBe('abc')
  expect(tokenIn('#token=a', '?token=b')).toBe('a')
  expect(tokenIn('#other', '')).toBe('')
})
