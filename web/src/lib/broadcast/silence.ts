// Notices a connection that stands and sends no picture. Chromium has been seen to
// begin so on a busy computer, and to stay so; its sound goes on.

/** How long no byte of the picture may leave, in milliseconds. */
const tolerated = 8_000

export class Silence {
  #bytes = -1
  #since = 0

  /** Takes how much of the picture was sent by now (Unix milliseconds), and says whether it has been silent for too long. */
  tooLong(bytes: number, now: number): boolean {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#since = now
    }
    return now - this.#since >= tolerated
  }

  /** Begins anew: there is another connection, or nothing to send just now. */
  reset(): void {
    this.#bytes = -1
  }
}
