import { describe, expect, it } from 'vitest'
import { match, ownPath, safeNext } from './routes'

describe('match', () => {
  it.each([
    ['/', 'home', {}],
    ['/live/01abc', 'live', { channel: '01abc' }],
    ['/watch/st-1/', 'watch', { id: 'st-1' }],
    ['/my/videos', 'my-videos', {}],
    ['/my/videos/st-1', 'my-video', { id: 'st-1' }],
    ['/watch/a%2Fb', 'watch', { id: 'a/b' }],
    ['/admin/users', 'users', {}],
    ['/admin/rules', 'rules', {}],
    ['/admin/rules/ru-1', 'rule', { id: 'ru-1' }],
    ['/admin/events', 'events', {}],
    ['/admin/events/replays', 'replays', {}],
    ['/admin/events/dead-letters', 'dead-letters', {}],
    ['/admin/simulations', 'simulations', {}],
    ['/admin/simulations/sim-1', 'simulation', { id: 'sim-1' }],
    ['/admin/flows', 'flows', {}],
    ['/admin/flows/life-st-1.2', 'flow', { id: 'life-st-1.2' }],
    ['/watch', 'not-found', {}],
    ['/watch/%E0%A4', 'not-found', {}],
    ['/live/a/master.m3u8', 'not-found', {}],
    ['/nowhere', 'not-found', {}],
  ])('%s is %s', (path, page, params) => {
    expect(match(path)).toEqual({ page, params })
  })
})

describe('safeNext', () => {
  it.each([
    ['/broadcast', '/broadcast'],
    ['/my/videos?x=1', '/my/videos?x=1'],
    ['//evil.example', '/'],
    ['https://evil.example', '/'],
    ['/\\evil.example', '/'],
    ['', '/'],
    [null, '/'],
  ])('%s goes to %s', (next, path) => {
    expect(safeNext(next)).toBe(path)
  })
})

describe('ownPath', () => {
  const click = { button: 0, metaKey: false, ctrlKey: false, shiftKey: false, altKey: false, defaultPrevented: false }
  const link = { href: 'https://v.example/watch/st-1?t=3', target: '', download: '', rel: '' }
  const origin = 'https://v.example'

  it('takes a plain click on a page of the app', () => {
    expect(ownPath(click, link, origin)).toBe('/watch/st-1?t=3')
  })
  it.each([
    ['a new tab', { ...click, ctrlKey: true }, link],
    ['the middle button', { ...click, button: 1 }, link],
    ['a click that was handled', { ...click, defaultPrevented: true }, link],
    ['another target', click, { ...link, target: '_blank' }],
    ['a download', click, { ...link, download: 'x.mp4' }],
    ['another site', click, { ...link, href: 'https://other.example/' }],
    ['a file of the server', click, { ...link, href: 'https://v.example/vod/st-1/video.mp4' }],
    ['the API pages', click, { ...link, href: 'https://v.example/api/docs' }],
  ])('leaves %s to the browser', (_name, event, anchor) => {
    expect(ownPath(event, anchor, origin)).toBeNull()
  })
})
