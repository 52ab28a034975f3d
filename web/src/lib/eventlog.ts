// What the pages of the events need to know, without a browser.

import type { EventDelivery, LoggedEvent, Replay } from './api/types'

/** How many events a page keeps; the oldest go first. */
export const mostKept = 2000

/** What somebody looks for, by the names of the API; "" is anything. */
export interface Filters {
  source: string
  type: string
  about: string
  pattern: string
}

export const noFilters: Filters = { source: '', type: '', about: '', pattern: '' }

/** The filters that say something, as parameters. */
export function parametersOf(filters: Filters): Record<string, string> {
  return Object.fromEntries(Object.entries(filters).map(([name, text]) => [name, text.trim()]).filter(([, text]) => text !== ''))
}

/** Reads the filters from an address. */
export function filtersOf(query: URLSearchParams): Filters {
  const get = (name: keyof Filters) => query.get(name) ?? ''
  return { source: get('source'), type: get('type'), about: get('about'), pattern: get('pattern') }
}

/** The order of the list: by time and id, the newest first. */
function newerFirst(a: LoggedEvent, b: LoggedEvent): number {
  if (a.at !== b.at) return a.at < b.at ? 1 : -1
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0
}

/**
 * Puts events into a list, each once. What is known stays as it is: the server
 * says an event again when it is not sure that everybody has heard it.
 */
export function merge(known: LoggedEvent[], more: LoggedEvent[]): LoggedEvent[] {
  const ids = new Set(known.map((event) => event.id))
  const fresh = more.filter((event) => !ids.has(event.id) && ids.add(event.id))
  if (fresh.length === 0) return known
  return [...fresh, ...known].sort(newerFirst).slice(0, mostKept)
}

/** The deliveries of events, by the event's id. */
export type Deliveries = Record<string, EventDelivery[]>

/** How far a delivery is: of two reports the later one has more. */
function progress(delivery: EventDelivery): number {
  return delivery.tries * 2 + (delivery.trying || delivery.state === 'pending' && delivery.tries === 0 ? 0 : 1)
}

/** Takes reports of deliveries over. One that is older than what is known is not believed. */
export function report(known: Deliveries, reports: EventDelivery[], wanted: (event: string) => boolean = () => true): Deliveries {
  const next = { ...known }
  for (const delivery of reports) {
    if (!wanted(delivery.eventId)) continue
    const others = (next[delivery.eventId] ?? []).slice()
    const at = others.findIndex((other) => other.id === delivery.id)
    if (at < 0) others.push(delivery)
    else if (others[at]!.state === 'dead' || progress(delivery) >= progress(others[at]!)) others[at] = delivery
    next[delivery.eventId] = others
  }
  return next
}

/** The deliveries of these events, and of no others. */
export function only(known: Deliveries, events: Set<string>): Deliveries {
  const kept = Object.entries(known).filter(([event]) => events.has(event))
  return kept.length === Object.keys(known).length ? known : Object.fromEntries(kept)
}

/** Fields that say nothing in a line: what it is about stands there, and the token is masked. */
const silent = ['channel_name', 'tasktoken']

/** A few words of an event for its line: the first fields of its detail that are plain. */
export function summaryOf(event: LoggedEvent): string {
  const detail = (event.event as { detail?: Record<string, unknown> } | null)?.detail ?? {}
  const words: string[] = []
  for (const [name, value] of Object.entries(detail)) {
    if (words.length === 3) break
    if (value === event.about || silent.includes(name.toLowerCase()) || !['string', 'number', 'boolean'].includes(typeof value) || value === '') continue
    words.push(`${name} ${clip(String(value))}`)
  }
  return words.join(' · ')
}

function clip(text: string): string {
  return text.length > 40 ? text.slice(0, 39) + '…' : text
}

/** 14:03:07.123 of the reader's day. */
export function preciseTime(time: string): string {
  const at = new Date(time)
  if (Number.isNaN(at.getTime())) return ''
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`
}

/** "Thu, November 26", for where a list comes to another day. */
export function dayOf(time: string, locale = 'en'): string {
  const at = new Date(time)
  return Number.isNaN(at.getTime()) ? '' : new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'long' }).format(at)
}

/** How far a replay is, from 0 to 100: what came late may be more than was counted. */
export function percentOf(replay: Replay): number {
  if (replay.state === 'done') return 100
  if (replay.events === 0) return 0
  return Math.min(99, Math.floor((replay.lookedAt / replay.events) * 100))
}

export const replayNames: Record<Replay['state'], string> = { running: 'Running', done: 'Queued', cancelled: 'Stopped', failed: 'Failed' }
export const replayTones: Record<Replay['state'], string> = { running: 'accent', done: 'ok', cancelled: '', failed: 'bad' }

/** A moment as <input type="datetime-local"> has it, of the reader's day. */
export function localInput(at: Date): string {
  const two = (n: number) => String(n).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`
}
