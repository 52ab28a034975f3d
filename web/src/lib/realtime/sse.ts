// The same messages as server-sent events: one named event per topic.

import { parseMessage, type Link, type LinkEvents } from './link'

export function eventsURL(topics: string[]): string {
  return '/events?topics=' + topics.map(encodeURIComponent).join(',')
}

export function openEvents(wanted: string[], events: LinkEvents): Link {
  let over = false
  let source = connect(wanted)

  function connect(topics: string[]): EventSource {
    const opened = new EventSource(eventsURL(topics), { withCredentials: true })
    opened.addEventListener('open', () => {
      if (!over && opened === source) events.up()
    })
    opened.addEventListener('error', () => {
      // The browser would try again by itself, without telling how often it
      // failed; connection.ts decides instead.
      if (opened === source) end()
    })
    for (const topic of topics) {
      opened.addEventListener(topic, (event) => {
        const message = parseMessage((event as MessageEvent<string>).data)
        if (message && !over) events.message(topic, message)
      })
    }
    return opened
  }

  function end(): void {
    if (over) return
    over = true
    source.close()
    events.down()
  }

  return {
    setTopics(next) {
      if (over) return
      source.close()
      source = connect(next)
    },
    close() {
      over = true
      source.close()
    },
  }
}
