import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Message } from '../api/types'
import { Connection, pause, type Kind, type Status } from './connection'
import { parseMessage, type LinkEvents } from './link'
import { eventsURL } from './sse'
import { mqttURL } from './mqtt'

interface Opened {
  kind: Kind
  topics: string[]
  events: LinkEvents
  closed: boolean
}

function setUp(multiplexed = false) {
  const opened: Opened[] = []
  const seen = { status: [] as Status[], messages: [] as [string, Message][], snapshots: 0 }
  const opener = (kind: Kind) => (topics: string[], events: LinkEvents) => {
    const link: Opened = { kind, topics, events, closed: false }
    opened.push(link)
    return {
      setTopics: (next: string[]) => (link.topics = next),
      close: () => (link.closed = true),
    }
  }
  const connection = new Connection({
    mqtt: opener('mqtt'),
    sse: opener('sse'),
    multiplexed: () => multiplexed,
    status: (status) => seen.status.push(status),
    message: (topic, message) => seen.messages.push([topic, message]),
    snapshot: () => seen.snapshots++,
    random: () => 1,
  })
  const last = () => opened.at(-1) as Opened
  const fail = () => {
    last().events.down()
    vi.advanceTimersByTime(20_000)
  }
  return { connection, opened, seen, last, fail }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('begins with MQTT and takes a snapshot once it stands', () => {
  const { connection, seen, last } = setUp()
  connection.start(['g'])
  expect(last()).toMatchObject({ kind: 'mqtt', topics: ['g'] })
  expect(seen.status).toEqual(['connecting'])
  expect(seen.snapshots).toBe(0)
  last().events.up()
  expect(seen.status.at(-1)).toBe('online')
  expect(seen.snapshots).toBe(1)
})

it('takes a snapshot again after every reconnect', () => {
  const { connection, seen, last, fail } = setUp()
  connection.start(['g'])
  last().events.up()
  fail()
  expect(seen.status.at(-1)).toBe('reconnecting')
  last().events.up()
  expect(seen.snapshots).toBe(2)
})

it('falls back to server-sent events after MQTT failed twice over HTTP/1.1', () => {
  const { connection, opened, fail } = setUp(false)
  connection.start(['g'])
  fail()
  fail()
  expect(opened.map((o) => o.kind)).toEqual(['mqtt', 'mqtt', 'sse'])
})

it('falls back after one failure over HTTP/2', () => {
  const { connection, opened, fail } = setUp(true)
  connection.start(['g'])
  fail()
  expect(opened.map((o) => o.kind)).toEqual(['mqtt', 'sse'])
})

it('goes back to MQTT when server-sent events fail too', () => {
  const { connection, opened, fail } = setUp(true)
  connection.start(['g'])
  fail()
  fail()
  fail()
  expect(opened.map((o) => o.kind)).toEqual(['mqtt', 'sse', 'sse', 'mqtt'])
})

it('stays with MQTT when a link that stood is lost', () => {
  const { connection, opened, last, fail } = setUp(false)
  connection.start(['g'])
  for (let i = 0; i < 4; i++) {
    last().events.up()
    fail()
  }
  expect(opened.map((o) => o.kind)).toEqual(['mqtt', 'mqtt', 'mqtt', 'mqtt', 'mqtt'])
})

it('hands topics that change to the standing link, and to the next', () => {
  const { connection, last, fail } = setUp()
  connection.start(['g'])
  last().events.up()
  connection.setTopics(['g', 'c'])
  expect(last().topics).toEqual(['g', 'c'])
  fail()
  expect(last().topics).toEqual(['g', 'c'])
})

it('passes messages on, but none of a link it gave up', () => {
  const { connection, opened, seen, last } = setUp()
  const message = { type: 'x', detail: {} }
  connection.start(['g'])
  last().events.up()
  last().events.message('g', message)
  connection.restart()
  opened[0]?.events.message('g', message)
  opened[0]?.events.down()
  expect(opened[0]?.closed).toBe(true)
  expect(seen.messages).toEqual([['g', message]])
  expect(opened).toHaveLength(2)
})

it('takes a way that the browser forbids for one that failed', () => {
  const opened: string[] = []
  const connection = new Connection({
    mqtt: () => {
      opened.push('mqtt')
      throw new DOMException('refused', 'SecurityError')
    },
    sse: () => {
      opened.push('sse')
      return { setTopics() {}, close() {} }
    },
    multiplexed: () => true,
    status: () => {},
    message: () => {},
    snapshot: () => {},
  })
  connection.start(['g'])
  vi.advanceTimersByTime(20_000)
  expect(opened).toEqual(['mqtt', 'sse'])
})

it('hurries only when it waits', () => {
  const { connection, opened, last } = setUp()
  connection.start(['g'])
  connection.hurry()
  expect(opened).toHaveLength(1)
  last().events.down()
  connection.hurry()
  expect(opened).toHaveLength(2)
  vi.advanceTimersByTime(60_000)
  expect(opened).toHaveLength(2)
})

it('does nothing any more once stopped', () => {
  const { connection, opened, last, seen } = setUp()
  connection.start(['g'])
  connection.stop()
  expect(last().closed).toBe(true)
  last().events.down()
  vi.advanceTimersByTime(60_000)
  expect(opened).toHaveLength(1)
  expect(seen.status.at(-1)).toBe('idle')
})

it('waits longer each time, up to a bound', () => {
  expect([0, 1, 2, 3].map((n) => pause(n, () => 1))).toEqual([500, 1000, 2000, 4000])
  expect(pause(99, () => 1)).toBe(15_000)
  expect(pause(0, () => 0)).toBe(250)
})

it('reads messages and drops what is none', () => {
  expect(parseMessage('{"type":"a","detail":{"b":1}}')).toEqual({ type: 'a', detail: { b: 1 } })
  for (const text of ['', 'x', 'null', '{}', '{"type":1,"detail":{}}', '{"type":"a"}', '{"type":"a","detail":[]}']) {
    expect(parseMessage(text)).toBeNull()
  }
})

it('builds the addresses', () => {
  expect(mqttURL('https://v.example')).toBe('wss://v.example/mqtt')
  expect(mqttURL('http://localhost:8080')).toBe('ws://localhost:8080/mqtt')
  expect(eventsURL(['a', 'b c'])).toBe('/events?topics=a,b%20c')
})
