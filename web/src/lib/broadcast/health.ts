// What the figures of a stream mean for the broadcaster. Pure.

import type { Health, Rung } from '../api/types'

export type Grade = 'good' | 'fair' | 'poor'

export interface Judgement {
  grade: Grade
  /** Why it is not good, in a few words; "" when it is. */
  why: string
}

type Rule = (health: Health) => string

/** What viewers notice at once. */
const poor: Rule[] = [
  (h) => (h.reconnecting ? 'Nothing arrives at the server' : ''),
  (h) => (h.lossPercent >= 5 ? `${percent(h.lossPercent)} of the packets are lost` : ''),
  (h) => (h.frameRate > 0 && h.frameRate < 10 ? `Only ${Math.round(h.frameRate)} pictures a second` : ''),
  (h) => (h.bitrate > 0 && h.bitrate < 250_000 ? 'The picture gets very little data' : ''),
  (h) => (h.roundTripMillis >= 800 ? 'The way to the server is very slow' : ''),
]

/** What some viewers notice. */
const fair: Rule[] = [
  (h) => (h.lossPercent >= 1 ? `${percent(h.lossPercent)} of the packets are lost` : ''),
  (h) => (h.frameRate > 0 && h.frameRate < 20 ? `${Math.round(h.frameRate)} pictures a second` : ''),
  (h) => (h.keyFrameInterval > 4.2 ? `A key frame every ${h.keyFrameInterval.toFixed(0)} s only` : ''),
  (h) => (h.jitterMillis >= 60 ? 'The connection is uneven' : ''),
  (h) => (h.roundTripMillis >= 300 ? 'The way to the server is slow' : ''),
  (h) => (h.height >= 700 && h.bitrate > 0 && h.bitrate < 700_000 ? 'The picture gets little data' : ''),
]

export function judge(health: Health): Judgement {
  for (const [grade, rules] of [['poor', poor], ['fair', fair]] as const) {
    for (const rule of rules) {
      const why = rule(health)
      if (why) return { grade, why }
    }
  }
  return { grade: 'good', why: '' }
}

const rank: Record<Grade, number> = { good: 0, fair: 1, poor: 2 }

/** Judgements in a row that a change takes: bad news soon, good news when it lasts. */
const toWorse = 2
const toBetter = 4
/** The first judgements do not count: browsers begin with little data and few pictures, and climb by themselves. */
const first = 3

/** Keeps a judgement from flickering: one bad second is nobody's business. */
export class Calm {
  #shown: Judgement = { grade: 'good', why: '' }
  #taken = 0
  #other = 0

  take(next: Judgement): Judgement {
    const shown = this.#shown
    if (++this.#taken <= first) return shown
    if (next.grade === shown.grade) {
      this.#other = 0
      // The grade stays, its reason is the newest.
      this.#shown = next
      return next
    }
    const needed = rank[next.grade] > rank[shown.grade] ? toWorse : toBetter
    if (++this.#other < needed) return shown
    this.#other = 0
    this.#shown = next
    return next
  }
}

export function percent(value: number): string {
  return `${value >= 10 ? Math.round(value) : Math.round(value * 10) / 10} %`
}

/** 2_480_000 -> "2.5 Mbit/s", 640_000 -> "640 kbit/s". */
export function bitrate(bits: number): string {
  const value = Math.max(0, Number.isFinite(bits) ? bits : 0)
  return value >= 999_500 ? `${(value / 1e6).toFixed(1)} Mbit/s` : `${Math.round(value / 1000)} kbit/s`
}

export interface Quality {
  name: string
  what: string
  state: Rung['state']
}

/** What viewers can choose between: the picture as it is sent first, then what is made of it, or why it is not. */
export function qualities(health: Health): Quality[] {
  return health.rungs.map((rung) => {
    if (rung.name === 'source') return { name: health.height > 0 ? `${health.height}p` : 'Source', what: 'As you send it', state: rung.state }
    const measured = rung.state === 'on' && rung.bitrate ? bitrate(rung.bitrate) : ''
    return { name: rung.name, what: measured || rung.reason || '', state: rung.state }
  })
}
