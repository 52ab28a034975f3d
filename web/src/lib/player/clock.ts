// The clock of a broadcast, and where its moments are in a playlist. Pure.

import type { Moment } from './attach'

/** By how much the clock yields with each look, in milliseconds: so that one wrong date is forgotten in time. */
const yielding = 2

/**
 * Tells the time at the live edge by the server's clock, whatever this
 * device's clock says. It learns from the dates of what arrives; the freshest
 * arrival is the truest.
 */
export class EdgeClock {
  #offset: number | null = null

  get known(): boolean {
    return this.#offset !== null
  }

  /** The newest picture that is known now has this date. All in Unix milliseconds. */
  observe(date: number, now: number): void {
    const fresh = date - now
    this.#offset = this.#offset === null ? fresh : Math.max(this.#offset - yielding, fresh)
  }

  at(now: number): number {
    return now + (this.#offset ?? 0)
  }
}

/** A segment of a playlist: seconds on the player's timeline, and its date (Unix milliseconds) when it has one. */
export interface Piece {
  start: number
  duration: number
  programDateTime: number | null
}

/** The date of a time on the player's timeline; null when the playlist has no dates. */
export function dateOf(pieces: readonly Piece[], time: number): number | null {
  let found: Piece | undefined
  for (const piece of pieces) {
    if (piece.start > time && found) break
    if (piece.programDateTime !== null) found = piece
  }
  if (!found || found.programDateTime === null) return null
  return found.programDateTime + (time - found.start) * 1000
}

/**
 * The time of a moment on the player's timeline, in seconds. A moment when
 * nothing was sent (the broadcaster was away) is the next that there is.
 */
export function timeOf(pieces: readonly Piece[], moment: Moment): number {
  const first = pieces[0]
  const last = pieces.at(-1)
  if (!first || !last) return 0
  const end = last.start + last.duration
  const { date } = moment
  if (date === undefined || first.programDateTime === null) return Math.max(first.start, end - Math.max(0, moment.behind))
  for (const piece of pieces) {
    if (piece.programDateTime === null) continue
    if (date < piece.programDateTime) return piece.start
    if (date < piece.programDateTime + piece.duration * 1000) return piece.start + (date - piece.programDateTime) / 1000
  }
  return end
}
