import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { LoggedEvent } from './api/types'
import { mostKept, noFilters } from './eventlog'
import { EventWatch } from './eventwatch.svelte'

const event = (n: number): LoggedEvent => ({
  id: `e${String(n).padStart(5, '0')}`, at: new Date(Date.UTC(2026, 10, 26) + n * 1000).toISOString(), source: 's', detailType: 't', event: {},
})
const delivery = (of: LoggedEvent) => ({ id: `msg_${of.id}`, eventId: of.id, source: 's', detailType: 't', state: 'delivered', createdAt: '', tries: 1, trying: false, ruleId: 'r', ruleName: 'r' })

/** The stream as the test has it: one source at a time. */
class Source extends EventTarget {
  static last: Source
  closed = false
  constructor() {
    super()
    Source.last = this
  }
  close() {
    this.closed = true
  }
  say(name: string, value: unknown = {}) {
    this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(value) }))
  }
}

/** The server's archive, of events 1 to newest. */
let newest = 0
let status = 200
let asked: string[] = []

function answer(path: string): Response {
  asked.push(path)
  if (status !== 200) return Response.json({ detail: `status ${status}` }, { status })
  const url = new URL(path, 'http://x')
  if (url.pathname !== '/api/archive/events') return Response.json({ data: [] })
  const from = Number(url.searchParams.get('offset') ?? newest)
  const data = Array.from({ length: Math.min(50, from) }, (_, i) => event(from - i))
  return Response.json({ count: data.length, data, ...(from > 50 ? { nextPage: String(from - 50) } : {}) })
}

const wait = (ms = 10) => vi.advanceTimersByTimeAsync(ms)
const numbers = (list: LoggedEvent[]) => list.map((one) => Number(one.id.slice(1)))
const range = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, i) => from - i)

let watch: EventWatch

beforeEach(async () => {
  vi.useFakeTimers()
  vi.stubGlobal('EventSource', Source)
  vi.stubGlobal('fetch', async (path: string) => answer(path))
  newest = 100
  status = 200
  watch = new EventWatch()
  watch.start(noFilters)
  await wait()
  Source.last.say('listening')
  await wait(3000)
  asked = []
})

afterEach(() => {
  watch.stop()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** The stream is lost, events up to n happen, and it comes back. */
async function lose(until: number) {
  Source.last.say('error')
  expect(watch.connected).toBe(false)
  newest = until
  await wait(20_000)
  Source.last.say('listening')
  await wait(3000)
}

it('shows the newest ones, and each that comes', async () => {
  expect(numbers(watch.events)).toEqual(range(100, 51))
  Source.last.say('event', event(101))
  await wait(200)
  expect(numbers(watch.events)).toEqual(range(101, 51))
})

it('reads what it missed', async () => {
  await lose(230)
  expect(numbers(watch.events)).toEqual(range(230, 51))
  expect(watch.next).toBe('50')
})

it('begins anew where it missed more than it reads, without a hole', async () => {
  await lose(1000)
  expect(numbers(watch.events)).toEqual(range(1000, 801))
  await watch.older()
  expect(numbers(watch.events)).toEqual(range(1000, 751))
})

it('does so when it goes on, if it is paused', async () => {
  watch.pause()
  await lose(1000)
  Source.last.say('event', event(1001))
  await wait(200)
  expect(numbers(watch.events)).toEqual(range(100, 51))
  expect(numbers(watch.held)).toEqual(range(1001, 801))
  watch.resume()
  expect(numbers(watch.events)).toEqual(range(1001, 801))
  expect(watch.next).toBe('800')
})

it('asks again for what it could not read', async () => {
  Source.last.say('error')
  await wait(20_000)
  newest = 140
  status = 503
  Source.last.say('listening')
  await wait(3000)
  Source.last.say('event', event(141))
  await wait(200)
  status = 200
  await wait(6000)
  expect(numbers(watch.events)).toEqual(range(141, 51))
})

it.each([401, 403])('stops when the session may look no more: %i', async (refusal) => {
  const source = Source.last
  status = refusal
  source.say('error')
  await wait(600_000)
  expect(source.closed).toBe(true)
  expect(Source.last).toBe(source)
  expect(asked).toEqual(['/api/archive'])
  expect(watch.error).toBe(`status ${refusal}`)
})

it('tries a server that does not answer ever more seldom', async () => {
  status = 503
  Source.last.say('error')
  await wait(10_000)
  const first = asked.length
  asked = []
  await wait(10_000)
  expect(first).toBeGreaterThan(asked.length)
  status = 200
  await wait(20_000)
  Source.last.say('listening')
  expect(watch.connected).toBe(true)
})

it('keeps the newest only, with their deliveries', async () => {
  newest = mostKept + 100
  watch.start(noFilters)
  await wait()
  while (!watch.full) await watch.older()
  Source.last.say('listening')
  Source.last.say('delivery', delivery(event(101)))
  await wait(3000)
  expect(Object.keys(watch.deliveries)).toEqual([event(101).id])
  Source.last.say('event', event(mostKept + 101))
  await wait(200)
  expect(numbers(watch.events)).toEqual(range(mostKept + 101, 102))
  expect(watch.deliveries).toEqual({})
  asked = []
  expect(await watch.older()).toBe(0)
  expect(asked).toEqual([])
})

it('finds what the archive has got late, after a kill', async () => {
  await lose(102)
  expect(numbers(watch.events)).toEqual(range(102, 51))
  // The live stream was not up when this one passed, and the archive has it only now.
  newest = 103
  await wait(8_000)
  expect(numbers(watch.events)).toEqual(range(102, 51))
  await wait(4_000)
  expect(numbers(watch.events)).toEqual(range(103, 51))
})
