import { expect, it } from 'vitest'
import { resourceURL } from './exchange'

it('resolves a relative Location against where the answer came from', () => {
  const answer = (location: string, url: string) => ({ headers: new Headers({ Location: location }), url })
  expect(resourceURL(answer('/whip/c/s', 'https://a.example/whip/c'), '/whip/c')).toBe('https://a.example/whip/c/s')
  expect(resourceURL(answer('https://b.example/r', 'https://a.example/whip/c'), '/whip/c')).toBe('https://b.example/r')
})
