// What the pages of the rules need to know, without a browser.

import type { Delivery, DeliveryState, Place, Rule, RuleInput, RuleTarget } from './api/types'

/** An event to try patterns with, until somebody puts in another one. */
export const sampleEvent = JSON.stringify(
  {
    version: '0',
    id: '0198f0aa-7a54-7000-8000-000000000001',
    'detail-type': 'Stream State Change',
    source: 'serverlessVideo.streaming',
    account: 'local',
    time: '2026-11-26T12:00:00Z',
    region: 'local',
    resources: [],
    detail: { event_name: 'Stream Start', channel_name: '01a', stream_id: 'st-01a' },
  },
  null,
  2,
)

/** A new rule, to be filled in. */
export function blank(): RuleInput {
  return {
    name: '',
    description: '',
    enabled: true,
    pattern: '{\n  "source": ["serverlessVideo.streaming"],\n  "detail-type": ["Stream State Change"]\n}',
    target: { type: 'webhook', url: '' },
    maxTries: 12,
  }
}

/** What a rule says, to be changed and sent back. */
export function inputOf(rule: Rule): RuleInput {
  return {
    name: rule.name,
    description: rule.description,
    enabled: rule.enabled,
    pattern: rule.pattern,
    target: targetFor(rule.target),
    maxTries: rule.maxTries,
  }
}

/** A target with what its type has, and nothing that a form kept of another type. */
export function targetFor(target: RuleTarget): RuleTarget {
  const { type } = target
  return type === 'log' ? { type } : { type, [fieldOf[type]]: (target[fieldOf[type]] ?? '').trim() }
}

const fieldOf = { webhook: 'url', plugin: 'plugin', flow: 'flow', tag: 'tag' } as const

/** The types of targets, as a form offers them. */
export const targetTypes: { value: RuleTarget['type']; label: string; hint: string }[] = [
  { value: 'webhook', label: 'Webhook, signed', hint: '' },
  { value: 'log', label: "The server's log", hint: 'One structured line for each event.' },
  { value: 'plugin', label: 'A plugin', hint: 'It is given the event, and takes it by its answer.' },
  { value: 'flow', label: 'Start work on the video', hint: 'For events that are about a video.' },
  { value: 'tag', label: 'Event tag for the video', hint: 'The video of the event gets this tag, unless it has one or its broadcaster chose none.' },
]

/** The places of wrong fields of a target, by field. */
export function targetPlaces(places: Place[]): Partial<Record<'url' | 'plugin' | 'flow' | 'tag', string>> {
  return Object.fromEntries(
    places.flatMap(({ location, message }) => (location?.startsWith('body.target.') ? [[location.slice('body.target.'.length), message]] : [])),
  )
}

/**
 * Where in a text a line and a column are, as an index for the caret. The server
 * counts columns in bytes of UTF-8, the browser indices in UTF-16 units.
 */
export function indexOf(text: string, line: number, column: number): number {
  const lines = text.split('\n')
  const at = Math.min(Math.max(line, 1), lines.length) - 1
  let index = 0
  for (let i = 0; i < at; i++) index += (lines[i] as string).length + 1
  let bytes = column - 1
  for (const char of lines[at] as string) {
    bytes -= new TextEncoder().encode(char).length
    if (bytes < 0) break
    index += char.length
  }
  return index
}

/** The line with a place in it: what stands before the place, and from it on. */
export function lineAt(text: string, index: number): [before: string, from: string] {
  const start = text.lastIndexOf('\n', index - 1) + 1
  const end = text.indexOf('\n', index)
  return [text.slice(start, index), text.slice(index, end < 0 ? undefined : end)]
}

/** The place of a location among several, if it is there. */
export function placeOf(places: Place[], location: string): Place | undefined {
  return places.find((place) => place.location === location)
}

/** "Line 2, column 42, at detail.count[0]". */
export function whereabouts(place: Place): string {
  if (!place.line) return ''
  const where = `Line ${place.line}, column ${place.column ?? 1}`
  return place.path ? `${where}, at ${place.path}` : where
}

/** Where a rule's events go, for a line of a list. */
export function targetOf(rule: Pick<Rule, 'target'>): string {
  const { type, url = '', plugin = '', flow = '', tag = '' } = rule.target
  if (type === 'log') return 'The log'
  if (type === 'plugin') return `Plugin ${plugin}`
  if (type === 'flow') return `Start ${flow}`
  if (type === 'tag') return `Tag ${tag}`
  try {
    return new URL(url).host
  } catch {
    return url
  }
}

export const stateNames: Record<DeliveryState, string> = { pending: 'Waiting', delivered: 'Delivered', dead: 'Dead letter' }
export const stateTones: Record<DeliveryState, string> = { pending: 'warn', delivered: 'ok', dead: 'bad' }

/** "1 try", "3 tries". */
export function tries(n: number): string {
  return n === 1 ? '1 try' : `${n} tries`
}

/** "1,000 or more", as the server counts no further. */
export function counted(n: number): string {
  return n >= 1000 ? '1,000 or more' : String(n)
}

/** What the last try of a delivery came to: "200 in 12 ms", "503: the reason". */
export function lastOf(delivery: Delivery, span: (ms: number) => string): string {
  const last = delivery.last
  if (!last) return delivery.tries > 0 ? 'Being tried' : 'Not tried yet'
  if (last.error) return last.error
  return last.status ? `${last.status} in ${span(last.durationMillis)}` : `Done in ${span(last.durationMillis)}`
}

/** In how many milliseconds to look again: soon while something waits for a try. */
export function lookAgainIn(rows: Delivery[]): number {
  return rows.some((row) => row.state === 'pending') ? 2_000 : 5_000
}
