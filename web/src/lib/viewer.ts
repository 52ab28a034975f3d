// Tells the server that somebody watches, so that viewers can be counted.

import { api } from './api/client'
import { randomId } from './random'

/** Seconds between two beacons; the server forgets a viewer after 30. */
const every = 15

/** Sends beacons until stopped. The id is random and made anew for every viewing. */
export function countMe(channel: string, streamId: string): () => void {
  const viewer = randomId()
  // A beacon that is lost is made up for by the next.
  const send = () => void api.watching(channel, viewer, streamId).catch(() => {})
  send()
  const timer = setInterval(send, every * 1000)
  return () => clearInterval(timer)
}
