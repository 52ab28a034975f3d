import { expect, it } from 'vitest'
import type { Video } from './api/types'
import { changesOf, fieldsOf, problemsOf, tagsIn } from './edit'

const video = { id: 'st-1', title: 'Theirs', tags: ['a', 'b c'], visibility: 'public', status: 'valid' } as Video

it('sends nothing when nothing was changed', () => {
  expect(changesOf(video, fieldsOf(video))).toEqual({})
  expect(changesOf(video, { ...fieldsOf(video), title: ' Theirs ', tags: 'a,b  c,' })).toEqual({})
})

it('sends what was changed, and no more', () => {
  const fields = { ...fieldsOf(video), title: ' Mine ', visibility: 'private' as const }
  expect(changesOf(video, fields)).toEqual({ title: 'Mine', visibility: 'private' })
  expect(changesOf(video, { ...fieldsOf(video), title: '', tags: ' ', description: 'one\ntwo\n', event: 'conf-26' })).toEqual({
    title: '', tags: [], description: 'one\ntwo', event: 'conf-26',
  })
})

it('reads tags between commas, each once', () => {
  expect(tagsIn(' a , b  c ,, a,')).toEqual(['a', 'b c'])
  expect(tagsIn('')).toEqual([])
})

it('says what is wrong before it is sent', () => {
  const fields = fieldsOf(video)
  expect(problemsOf(fields)).toEqual({})
  expect(problemsOf({ ...fields, event: ' conf_26-B ' })).toEqual({})
  expect(problemsOf({ ...fields, event: 'my event' }).event).toMatch(/one word/)
  expect(problemsOf({ ...fields, event: 'été' }).event).toBeDefined()
  expect(problemsOf({ ...fields, tags: Array.from({ length: 51 }, (_, i) => `t${i}`).join() }).tags).toMatch(/51/)
  expect(problemsOf({ ...fields, tags: 'x'.repeat(101) }).tags).toMatch(/100/)
})
