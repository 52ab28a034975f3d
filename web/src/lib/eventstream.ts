// Events as they pass, as server-sent events.

import type { EventDelivery, LoggedEvent } from './api/types'

export interface StreamListener {
  /** The stream is there, at first or again: what was missed is in the archive. */
  up: () => void
  down: () => void
  event: (event: LoggedEvent) => void
  delivery: (delivery: EventDelivery) => void
}

/** How long until another attempt where the browser makes none, in milliseconds. */
const again = 5000

/** Listens until the function that it returns is called. */
export function listen(parameters: Record<string, string>, listener: StreamListener): () => void {
  const url = '/events/live?' + new URLSearchParams(parameters).toString()
  let source: EventSource
  let timer: ReturnType<typeof setTimeout> | undefined
  let over = false

  function connect(): void {
    source = new EventSource(url, { withCredentials: true })
    on('listening', listener.up)
    on<LoggedEvent>('event', listener.event)
    on<EventDelivery>('delivery', listener.delivery)
    source.addEventListener('error', () => {
      if (over) return
      listener.down()
      // It gives up where the answer is no stream, such as while the server starts.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, again)
    })
  }

  function on<T>(name: string, give: (value: T) => void): void {
    source.addEventListener(name, (message) => {
      if (!over) give(JSON.parse((message as MessageEvent<string>).data) as T)
    })
  }

  connect()
  return () => {
    over = true
    clearTimeout(timer)
    source.close()
  }
}
