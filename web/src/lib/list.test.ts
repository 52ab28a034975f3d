import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Page } from './api/types'
import { appended, ended, merged } from './list'
import { List } from './list.svelte'
import { notices } from './notices.svelte'

const rows = (text: string) => [...text].map((id) => ({ id }))
const ids = (list: { id: string }[]) => list.map(({ id }) => id).join('')

describe('the newest page over what is shown', () => {
  it.each([
    ['dcba', 'ed', false, 'edcba'], // one is new, older pages stay
    ['dcba', 'edc', false, 'edcba'],
    ['dcba', 'dc', false, 'dcba'],
    ['dcba', 'db', false, 'dba'], // c is gone
    ['dcba', 'ec', false, 'ecba'], // d has left the filter
    ['dcba', 'zy', false, 'zy'], // so many are new that there is a gap
    ['dcba', 'ad', false, 'adcb'], // a has come up
    ['dcba', 'cb', true, 'cb'], // this is all
    ['dcba', '', true, ''],
    ['d', '', false, ''],
    ['', 'a', false, 'a'],
  ])('%s and then %s', (shown, newest, whole, want) => {
    expect(ids(merged(rows(shown), rows(newest), whole))).toBe(want)
  })
})

it('has each row once', () => {
  expect(ids(appended(rows('dc'), rows('cba')))).toBe('dcba')
})

it('finds what has ended', () => {
  const run = (id: string, works: boolean) => ({ id, works })
  const before = [run('a', true), run('b', true), run('c', false), run('d', true)]
  const now = [run('new', false), run('a', false), run('b', true), run('c', false)]
  expect(ids(ended(before, now, (row) => row.works))).toBe('a')
})

describe('a list', () => {
  afterEach(() => void vi.restoreAllMocks())

  /** A list whose answers are given by the test. */
  function setUp() {
    const asked: { offset?: string; answer: (data: string, nextPage?: string) => Promise<void>; fail: () => Promise<void> }[] = []
    const list = new List<{ id: string }>(
      (offset) =>
        new Promise<Page<{ id: string }>>((resolve, reject) => {
          const settle = async (does: () => void) => {
            does()
            await new Promise((done) => setTimeout(done))
          }
          asked.push({
            offset,
            answer: (data, nextPage) => settle(() => resolve({ data: rows(data), count: data.length, nextPage })),
            fail: () => settle(() => reject(new Error('no luck'))),
          })
        }),
    )
    const shown = vi.spyOn(notices, 'show').mockImplementation(() => {})
    return { list, asked, shown }
  }

  async function two() {
    const all = setUp()
    void all.list.load()
    await all.asked[0]!.answer('dc', 'p2')
    return all
  }

  it('is read in pages', async () => {
    const { list, asked } = await two()
    void list.more()
    void list.more() // one at a time
    expect(asked).toHaveLength(2)
    expect(asked[1]!.offset).toBe('p2')
    expect(list.reading).toBe(true)
    await asked[1]!.answer('cba')
    expect([ids(list.rows), list.next, list.reading]).toEqual(['dcba', undefined, false])
  })

  it('stays when more cannot be read, and says so', async () => {
    const { list, asked, shown } = await two()
    void list.more()
    await asked[1]!.fail()
    expect([ids(list.rows), list.next, list.error]).toEqual(['dc', 'p2', ''])
    expect(shown).toHaveBeenCalledWith('no luck', 'bad')
  })

  it('recovers by itself from an error', async () => {
    const { list, asked } = setUp()
    void list.load()
    await asked[0]!.fail()
    expect(list.error).toBe('no luck')
    void list.refresh()
    await asked[1]!.answer('b', 'p2')
    expect([ids(list.rows), list.next, list.error]).toEqual(['b', 'p2', ''])
  })

  it('does not keep rows of another filter', async () => {
    const { list, asked } = await two()
    void list.load(true)
    await asked[1]!.fail()
    expect([ids(list.rows), list.error]).toEqual(['', 'no luck'])
  })

  it('takes nothing over that is older than what somebody did', async () => {
    const { list, asked } = await two()
    void list.refresh()
    list.put({ id: 'x' })
    await asked[1]!.answer('dc', 'p2')
    expect(ids(list.rows)).toBe('xdc')
    void list.refresh()
    void list.load(true)
    await asked[2]!.answer('zz')
    await asked[3]!.answer('ba')
    expect(ids(list.rows)).toBe('ba')
  })

  it('says which row is in the place of one that went', async () => {
    const { list, asked } = await two()
    void list.more()
    await asked[1]!.answer('ba')
    expect([list.drop('c')?.id, ids(list.rows)]).toEqual(['b', 'dba'])
    expect([list.drop('a')?.id, ids(list.rows)]).toEqual(['b', 'db'])
    list.drop('d')
    expect(list.drop('b')).toBeUndefined()
  })

  it('says nothing of a look that fails', async () => {
    const { list, asked, shown } = await two()
    void list.refresh()
    await asked[1]!.fail()
    expect([ids(list.rows), list.error]).toEqual(['dc', ''])
    expect(shown).not.toHaveBeenCalled()
  })
})
