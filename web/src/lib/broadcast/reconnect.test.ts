import { describe, expect, it } from 'vitest'
import { ApiError } from '../api/client'
import { bringBack, hopeful, pauseBefore, type Means } from './reconnect'

/** Means that play out a script; time passes by waiting only. */
function means(more: Partial<Means> = {}) {
  const seen: string[] = []
  let time = 0
  const all: Means = {
    restart: async () => (seen.push('restart'), false),
    connect: async () => void seen.push('connect'),
    stands: async () => true,
    wait: async (ms) => void ((time += ms), ms > 0 && seen.push(`wait ${ms}`)),
    wanted: () => true,
    now: () => time,
    trying: () => {},
    ...more,
  }
  return { all, seen, at: () => time }
}

describe('bringBack', () => {
  it('asks no more when the restart helps', async () => {
    const { all, seen } = means({ restart: async () => true })
    expect(await bringBack(all, 60_000)).toBe('')
    expect(seen).toEqual([])
  })

  it('makes a new session at once when it does not', async () => {
    const { all, seen } = means()
    expect(await bringBack(all, 60_000)).toBe('')
    expect(seen).toEqual(['restart', 'connect'])
  })

  it('also when the restart was taken and nothing came of it', async () => {
    let standing = [false, true]
    const { all, seen } = means({ restart: async () => true, stands: async () => standing.shift() ?? false })
    expect(await bringBack(all, 60_000)).toBe('')
    expect(seen).toEqual(['connect'])
  })

  it('tries again with growing pauses while there is hope', async () => {
    let left = 3
    const { all, seen } = means({
      connect: async () => {
        if (left-- > 0) throw new ApiError(0, 'no network')
      },
    })
    expect(await bringBack(all, 60_000)).toBe('')
    expect(seen).toEqual(['restart', 'wait 500', 'wait 1000', 'wait 2000'])
  })

  it('gives up when the server does not keep it open any longer', async () => {
    const { all, at } = means({
      connect: async () => {
        throw new ApiError(503, 'The server starts again.')
      },
    })
    expect(await bringBack(all, 60_000)).toBe('The server starts again.')
    expect(at()).toBeGreaterThanOrEqual(60_000)
    expect(at()).toBeLessThan(66_000)
  })

  it('tries only the restart where nothing is kept open', async () => {
    const { all, seen } = means()
    expect(await bringBack(all, 0, 'It ended.')).toBe('It ended.')
    expect(seen).toEqual(['restart'])
    expect(await bringBack({ ...all, restart: async () => true }, 0, 'It ended.')).toBe('')
  })

  it('gives up at once on what stays wrong', async () => {
    const { all, at } = means({
      connect: async () => {
        throw new ApiError(422, 'The codec is another one.')
      },
    })
    expect(await bringBack(all, 60_000)).toBe('The codec is another one.')
    expect(at()).toBe(0)
  })

  it('stops when nobody wants it any more', async () => {
    const { all, seen } = means({ wanted: () => false })
    expect(await bringBack(all, 60_000)).toBe('')
    expect(seen).toEqual(['restart'])
  })
})

it('hopes where waiting helps', () => {
  expect([0, 409, 429, 500, 503].every((status) => hopeful(new ApiError(status, '')))).toBe(true)
  expect([400, 401, 403, 404, 422].some((status) => hopeful(new ApiError(status, '')))).toBe(false)
  expect(hopeful(new Error('x'))).toBe(false)
})

it('waits longer each time, up to a bound', () => {
  expect([1, 2, 3, 4, 5, 6, 60].map(pauseBefore)).toEqual([0, 500, 1000, 2000, 4000, 5000, 5000])
})
