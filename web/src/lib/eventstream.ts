// Events as they pass, as server-sent events.

import { ApiError, api } from './api/client'
import type { EventDelivery, LoggedEvent } from './api/types'
import { pause } from './realtime/connection'

export interface StreamListener {
  /** The stream is there, at first or again: what was missed is in the archive. */
  up: () => void
  down: () => void
  /** The server lets this session look no more, so nothing is tried again. */
  refused: (why: string) => void
  event: (event: LoggedEvent) => void
  delivery: (delivery: EventDelivery) => void
}

/**
 * Listens until the function that it returns is called. After a loss it comes back by
 * itself, after a growing pause, unless the session is over or no admin's any more.
 */
export function listen(parameters: Record<string, string>, listener: StreamListener, random: () => number = Math.random): () => void {
  const url = '/events/live?' + new URLSearchParams(parameters).toString()
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let tries = 0
  let over = false

  function connect(): void {
    const opened = (source = new EventSource(url, { withCredentials: true }))
    const on = <T>(name: string, give: (value: T) => void) =>
      opened.addEventListener(name, (message) => {
        if (!over && opened === source) give(JSON.parse((message as MessageEvent<string>).data) as T)
      })
    on('listening', () => {
      tries = 0
      listener.up()
    })
    on<LoggedEvent>('event', listener.event)
    on<EventDelivery>('delivery', listener.delivery)
    opened.addEventListener('error', () => {
      if (over || opened !== source) return
      // The browser's own attempts neither say why they fail nor pause for longer.
      opened.close()
      source = undefined
      listener.down()
      plan()
    })
  }

  function plan(): void {
    timer = setTimeout(() => void again(), pause(tries++, random))
  }

  /** An event source does not tell the status of its answer, so something else is asked. */
  async function again(): Promise<void> {
    try {
      await api.archive()
    } catch (failure) {
      if (over) return
      if (!(failure instanceof ApiError) || ![401, 403].includes(failure.status)) return plan()
      over = true
      return listener.refused(failure.message)
    }
    if (!over) connect()
  }

  connect()
  return () => {
    over = true
    clearTimeout(timer)
    source?.close()
  }
}
