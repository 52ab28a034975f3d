// Notices a player that is stuck: the broadcast goes on, its picture does not.

/** Milliseconds without a step of the picture after which the player is stuck; its own repairs come before. */
const patience = 10_000
/** By how many milliseconds the edge must have moved meanwhile: without news there is nothing to play. */
const news = 5_000
/** A longer step than this, in seconds, is a jump; a player that is stuck may be made to jump, too. */
const longest = 3

export class Stall {
  #time = 0
  #edge = 0
  #since = 0

  /** Begins anew, as for a source that was just attached. */
  reset(): void {
    this.#since = 0
  }

  /** Notes where the picture and the edge are (seconds, Unix milliseconds), about twice a second; says whether the player is stuck. */
  note(time: number, edge: number, now: number): boolean {
    const step = time - this.#time
    this.#time = time
    if (this.#since === 0 || (step > 0 && step < longest)) {
      this.#since = now
      this.#edge = edge
      return false
    }
    return now - this.#since > patience && edge - this.#edge > news
  }
}
