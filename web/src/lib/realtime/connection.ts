// Keeps one link to the server standing: MQTT first, server-sent events when
// MQTT cannot be had, again after every loss, with a growing pause.

import type { Message } from '../api/types'
import type { Link, LinkEvents, OpenLink } from './link'

export type Status = 'idle' | 'connecting' | 'online' | 'reconnecting'
export type Kind = 'mqtt' | 'sse'

export interface Options {
  mqtt: OpenLink
  sse: OpenLink
  /** Whether the page came over HTTP/2 or 3, where an open event stream costs no connection. */
  multiplexed: () => boolean
  status: (status: Status, kind: Kind) => void
  message: (topic: string, message: Message) => void
  /** Called each time the link stands: what happened before has to be fetched. */
  snapshot: () => void
  random?: () => number
}

/** Failures in a row after which the other way is tried. */
const patience = 2
/** The first and the longest pause before trying again, in milliseconds. */
const shortest = 500
const longest = 15_000

/**
 * The pause before try n (0 is the first), in milliseconds: doubling, with up
 * to half of it at random so that a thousand pages do not come back at once.
 */
export function pause(n: number, random: () => number): number {
  const base = Math.min(longest, shortest * 2 ** Math.min(n, 10))
  return base / 2 + (base / 2) * random()
}

export class Connection {
  readonly #options: Options
  #topics: string[] = []
  #link: Link | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #kind: Kind = 'mqtt'
  #failures = 0
  #tries = 0
  #up = false
  #wasUp = false
  #running = false

  constructor(options: Options) {
    this.#options = options
  }

  start(topics: string[]): void {
    if (this.#running) return
    this.#running = true
    this.#topics = [...topics]
    this.#open()
  }

  stop(): void {
    this.#running = false
    clearTimeout(this.#timer)
    this.#link?.close()
    this.#link = null
    this.#up = false
    this.#options.status('idle', this.#kind)
  }

  setTopics(topics: string[]): void {
    this.#topics = [...topics]
    this.#link?.setTopics(this.#topics)
  }

  /** Drops the link and makes a new one at once: after signing in, or when the network is back. */
  restart(): void {
    if (!this.#running) return
    clearTimeout(this.#timer)
    this.#link?.close()
    this.#link = null
    this.#up = false
    this.#tries = 0
    this.#open()
  }

  /** Tries again at once if it is waiting to. */
  hurry(): void {
    if (this.#running && this.#link === null) this.restart()
  }

  #open(): void {
    const kind = this.#kind
    this.#options.status(this.#wasUp ? 'reconnecting' : 'connecting', kind)
    let current = true
    const mine = () => current && this.#running
    const open = kind === 'mqtt' ? this.#options.mqtt : this.#options.sse
    const events: LinkEvents = {
      up: () => {
        if (!mine()) return
        this.#up = true
        this.#wasUp = true
        this.#failures = 0
        this.#tries = 0
        this.#options.status('online', kind)
        this.#options.snapshot()
      },
      message: (topic, message) => {
        if (mine()) this.#options.message(topic, message)
      },
      down: () => {
        if (!mine() || this.#link !== owned) return
        current = false
        this.#lost()
      },
    }
    let link: Link
    try {
      link = open(this.#topics, events)
    } catch {
      // The browser forbids this way (a policy, a missing class): as good as refused.
      current = false
      this.#lost()
      return
    }
    const owned: Link = {
      setTopics: (topics) => link.setTopics(topics),
      close: () => {
        current = false
        link.close()
      },
    }
    this.#link = owned
  }

  #lost(): void {
    const stood = this.#up
    this.#link = null
    this.#up = false
    // A link that stood and fell says nothing about the way itself.
    if (!stood) this.#failures++
    const enough = this.#kind === 'mqtt' && this.#options.multiplexed() ? 1 : patience
    if (this.#failures >= enough) {
      this.#kind = this.#kind === 'mqtt' ? 'sse' : 'mqtt'
      this.#failures = 0
    }
    this.#options.status(this.#wasUp ? 'reconnecting' : 'connecting', this.#kind)
    this.#timer = setTimeout(() => this.#open(), pause(this.#tries++, this.#options.random ?? Math.random))
  }
}
