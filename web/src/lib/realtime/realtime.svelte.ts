// The page's one realtime connection, shared by everything that listens.

import type { Message } from '../api/types'
import { Connection, type Kind, type Status } from './connection'
import { openMqtt } from './mqtt'
import { openEvents } from './sse'

export const globalTopic = 'serverlessVideo-global'
export const channelTopic = (channel: string) => `serverlessVideo-${channel}`
export const userTopic = (sub: string) => `serverlessVideo-user-${sub}`

type Listener = (message: Message) => void

function multiplexed(): boolean {
  const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  return page?.nextHopProtocol === 'h2' || page?.nextHopProtocol === 'h3'
}

class Realtime {
  status = $state<Status>('idle')
  kind = $state<Kind>('mqtt')
  offline = $state(!navigator.onLine)

  #listeners = new Map<string, Set<Listener>>()
  #snapshots = new Set<() => void>()
  #connection = new Connection({
    mqtt: openMqtt,
    sse: openEvents,
    multiplexed,
    status: (status, kind) => {
      this.status = status
      this.kind = kind
    },
    message: (topic, message) => {
      for (const listener of this.#listeners.get(topic) ?? []) listener(message)
    },
    snapshot: () => {
      for (const snapshot of this.#snapshots) snapshot()
    },
  })

  start(): void {
    addEventListener('online', () => {
      this.offline = false
      this.#connection.hurry()
    })
    addEventListener('offline', () => (this.offline = true))
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#connection.hurry()
    })
    this.#connection.start(this.#topics())
  }

  /** Connects anew, so that the server sees who is signed in now. */
  restart(): void {
    this.#connection.restart()
  }

  /** Hears a topic until the returned function is called. */
  listen(topic: string, listener: Listener): () => void {
    const known = this.#listeners.get(topic)
    const set = known ?? new Set<Listener>()
    set.add(listener)
    if (!known) {
      this.#listeners.set(topic, set)
      this.#connection.setTopics(this.#topics())
    }
    return () => {
      set.delete(listener)
      if (set.size > 0 || this.#listeners.get(topic) !== set) return
      this.#listeners.delete(topic)
      this.#connection.setTopics(this.#topics())
    }
  }

  /** Calls fetch each time the connection stands anew, until the returned function is called. */
  onSnapshot(fetch: () => void): () => void {
    this.#snapshots.add(fetch)
    return () => this.#snapshots.delete(fetch)
  }

  #topics(): string[] {
    return [...new Set([globalTopic, ...this.#listeners.keys()])]
  }
}

export const realtime = new Realtime()
