// Brings a lost broadcast back: first over the connection there is, by an ICE
// restart, then over new ones, for as long as the server keeps it open.

import { ApiError, reasonOf } from '../api/client'

/** How long a broadcast is tried to be brought back when the server has not said how long it keeps it open, in seconds. */
export const openForUnknown = 60
/** How long a connection may take to stand, in milliseconds. */
const standing = 6_000
/** The first and the longest pause between tries, in milliseconds. */
const shortest = 500
const longest = 5_000

export interface Means {
  /** Restarts ICE; false when the session cannot. */
  restart(): Promise<boolean>
  /** Makes a new session; rejects with an ApiError. */
  connect(): Promise<void>
  /** Resolves with whether the connection stands, at the latest after so many milliseconds. */
  stands(within: number): Promise<boolean>
  /** Waits, or until the network is back. */
  wait(ms: number): Promise<void>
  /** False when nobody wants it any more: it came back by itself, or the broadcast was ended. */
  wanted(): boolean
  now(): number
  /** Told what is tried: 0 is the restart, then the number of new sessions. */
  trying(attempt: number): void
}

/** The pause before new session n (1 is the first), in milliseconds. */
export function pauseBefore(n: number): number {
  return n <= 1 ? 0 : Math.min(longest, shortest * 2 ** (n - 2))
}

/** No network, the old session still counts, or the server starts again: trying again can help. Anything else stays wrong. */
export function hopeful(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status === 409 || error.status === 429 || error.status >= 500)
}

const tooLate = 'The connection to the server was lost, and the broadcast could not be kept open any longer.'

/** Resolves with "" when the broadcast goes on, or is not wanted any more; else with why it was given up: late when time (Unix milliseconds) has run out. */
export async function bringBack(means: Means, until: number, late = tooLate): Promise<string> {
  let reason = late
  means.trying(0)
  if ((await means.restart()) && (await means.stands(standing))) return ''
  for (let attempt = 1; means.wanted(); attempt++) {
    await means.wait(pauseBefore(attempt))
    if (!means.wanted()) break
    if (means.now() >= until) return reason
    means.trying(attempt)
    try {
      await means.connect()
      if (await means.stands(standing)) return ''
    } catch (error) {
      if (!hopeful(error)) return reasonOf(error)
      if (error instanceof ApiError && error.status !== 0) reason = error.message
    }
  }
  return ''
}
