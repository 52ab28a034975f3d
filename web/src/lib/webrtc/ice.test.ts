import { expect, it } from 'vitest'
import { iceServersOf } from './ice'

it('reads STUN and TURN servers of a Link header', () => {
  const link = '<stun:stun.example.net>; rel="ice-server", <turn:turn.example.net?transport=udp>; rel="ice-server"; username="a,b"; credential="p;w"; credential-type="password"'
  expect(iceServersOf(link)).toEqual([
    { urls: 'stun:stun.example.net' },
    { urls: 'turn:turn.example.net?transport=udp', username: 'a,b', credential: 'p;w' },
  ])
})

it.each([
  ['nothing', null],
  ['another relation', '<stun:x.example>; rel="next"'],
  ['another scheme', '<https://x.example>; rel="ice-server"'],
  ['rubbish', '<<>;;,,"'],
])('takes nothing of %s', (_name, link) => expect(iceServersOf(link)).toEqual([]))

it('takes no more than a few', () => {
  expect(iceServersOf(Array.from({ length: 100 }, (_, i) => `<stun:s${i}.example>; rel="ice-server"`).join(', '))).toHaveLength(8)
})
