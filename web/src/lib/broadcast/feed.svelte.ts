// Follows the health of the signed-in broadcaster's stream.

import { ApiError, api } from '../api/client'
import type { Health } from '../api/types'
import { Calm, judge, type Judgement } from './health'

/** Between two questions, in milliseconds; the server measures as often. */
const every = 2_000
/** How far back the bitrate is kept, in seconds. */
export const kept = 120

export interface Sample {
  /** Unix seconds. */
  at: number
  bitrate: number
}

export class HealthFeed {
  health = $state.raw<Health | null>(null)
  judgement = $state.raw<Judgement>({ grade: 'good', why: '' })
  samples = $state.raw<Sample[]>([])
  #calm = new Calm()
  #timer: ReturnType<typeof setTimeout> | undefined
  #running = false

  start(): () => void {
    this.#running = true
    void this.#ask()
    return () => {
      this.#running = false
      clearTimeout(this.#timer)
    }
  }

  async #ask(): Promise<void> {
    try {
      this.#take(await api.health(), Date.now() / 1000)
    } catch (error) {
      // Not live (any more); anything else says nothing about the stream.
      if (error instanceof ApiError && error.status === 404) this.health = null
    }
    if (this.#running) this.#timer = setTimeout(() => void this.#ask(), every)
  }

  #take(health: Health, at: number): void {
    if (health.streamId !== this.health?.streamId) {
      this.#calm = new Calm()
      this.samples = []
    }
    this.health = health
    this.judgement = this.#calm.take(judge(health))
    this.samples = [...this.samples, { at, bitrate: health.reconnecting ? 0 : health.bitrate }].filter((sample) => sample.at > at - kept)
  }
}
