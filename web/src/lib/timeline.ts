// Turns the history of a video into what the timeline draws. Pure.

import type { HistoryEntry, HistoryService } from './api/types'

export type Tone = 'plain' | 'live' | 'ok' | 'bad' | 'plugin' | 'work'

export interface Step {
  key: string
  at: number
  title: string
  subtitle: string
  description: string
  icon: HistoryService['icon']
  tone: Tone
  /** Milliseconds since the step before it, null for the first. */
  after: number | null
  children: Step[]
}

export interface Metric {
  key: string
  label: string
  value: string
}

export interface Timeline {
  steps: Step[]
  metrics: Metric[]
  /** From the first to the last step in milliseconds. */
  total: number
  /** Shares of the total per step that took time, for the bar above. */
  bars: { key: string; title: string; tone: Tone; share: number; ms: number }[]
}

/** Steps oldest first, with the steps of plugins under their parent; metrics newest wins. */
export function layOut(entries: HistoryEntry[]): Timeline {
  const services = entries
    .filter((entry): entry is HistoryService => entry.type === 'service')
    .map((entry, index) => ({ entry, index, at: Date.parse(entry.createdAt) || 0 }))
    .sort((a, b) => a.at - b.at || a.index - b.index)

  const byKey = new Map<string, Step>()
  const steps: Step[] = []
  for (const { entry, at } of services) {
    const step: Step = {
      key: entry.key,
      at,
      title: entry.title,
      subtitle: entry.subtitle,
      description: entry.description,
      icon: entry.icon,
      tone: tones[entry.icon] ?? 'plain',
      after: null,
      children: [],
    }
    const parent = entry.parent ? byKey.get(entry.parent) : undefined
    if (parent) parent.children.push(step)
    else steps.push(step)
    byKey.set(entry.key, step)
  }
  gaps(steps)

  const metrics = new Map<string, Metric>()
  for (const entry of entries) {
    if (entry.type === 'metric') metrics.set(entry.key, { key: entry.key, label: entry.label, value: entry.value })
  }
  const first = services[0]?.at ?? 0
  const last = services.at(-1)?.at ?? first
  return { steps, metrics: [...metrics.values()], total: last - first, bars: bars(steps) }
}

function gaps(steps: Step[], start?: number): void {
  let before = start
  for (const step of steps) {
    step.after = before === undefined ? null : Math.max(0, step.at - before)
    gaps(step.children, step.at)
    before = step.at
  }
}

/** Each step's bar reaches to the next one; spans too short to see are left out. */
function bars(steps: Step[]): Timeline['bars'] {
  const spans = steps
    .slice(0, -1)
    .map((step, i) => ({ key: step.key, title: step.title, tone: step.tone, ms: Math.max(0, (steps[i + 1]?.at ?? step.at) - step.at) }))
  const total = spans.reduce((sum, span) => sum + span.ms, 0)
  if (total === 0) return []
  return spans.filter((span) => span.ms / total >= 0.004).map((span) => ({ ...span, share: span.ms / total }))
}

const tones: Record<HistoryService['icon'], Tone> = {
  live: 'live',
  video: 'live',
  stop: 'live',
  database: 'work',
  gear: 'work',
  film: 'work',
  play: 'work',
  clock: 'work',
  sparkles: 'plugin',
  shield: 'plugin',
  eye: 'plugin',
  tag: 'plugin',
  plug: 'plugin',
  check: 'ok',
  'check-circle': 'ok',
  'x-circle': 'bad',
  alert: 'bad',
}
