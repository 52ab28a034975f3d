// Notices a connection that stands and sends no picture. Chromium has been seen to
// begin so on a busy computer, and to stay so; its sound goes on. Bytes may trickle
// out for ever and never make a picture at the server, which then says so. A new
// connection helps, or not: each one that is silent too is given longer.

/** How long no byte of the picture may leave, in milliseconds: at first, and at the most; chance adds to it. */
const tolerated = 8_000
const longest = 60_000
/** How long the server's word counts, in milliseconds: it is asked every two seconds. */
const believed = 6_000
/** How much longer than that it may be, as a part of it: studios that fell silent together do not come back together. */
const spread = 0.25

export class Silence {
  #bytes = -1
  #since = 0
  /** Whether a picture has come to the server, by its last word; null while it has said nothing. */
  #arrives: boolean | null = null
  #told = 0
  /** Since when bytes leave again; 0 while none do. */
  #flows = 0
  /** How often it was silent for too long since it last sent for a while. */
  #times = 0
  #patience: number
  readonly #random: () => number

  /** @param random of 0 to 1, not 1 */
  constructor(random: () => number = Math.random) {
    this.#random = random
    this.#patience = this.#draw()
  }

  /** Takes how much of the picture was sent by now (Unix milliseconds), and says whether it has been silent for too long. */
  tooLong(bytes: number, now: number): boolean {
    const none = this.#arrives === false && now - this.#told < believed
    if (this.#bytes < 0 || (bytes !== this.#bytes && !none)) {
      if (this.#bytes >= 0) this.#flowed(now)
      this.#bytes = bytes
      this.#since = now
    }
    if (now - this.#since < this.#patience) return false
    this.#times++
    this.#patience = this.#draw()
    this.reset()
    return true
  }

  /** Takes the server's word on whether it has got a picture by now (Unix milliseconds); null when it has no word. */
  arrives(picture: boolean | null, now: number): void {
    this.#arrives = picture
    this.#told = now
  }

  /** Begins anew: there is another connection, or nothing to send just now. */
  reset(): void {
    this.#bytes = -1
    this.#flows = 0
    this.#arrives = null // what was said is of before
  }

  /** Some bytes are none: a connection that begins well and falls silent again and again is given longer, too. */
  #flowed(now: number): void {
    if (this.#flows === 0) this.#flows = this.#since
    if (this.#times === 0 || now - this.#flows < tolerated) return
    this.#times = 0
    this.#patience = this.#draw()
  }

  #draw(): number {
    return Math.min(longest, tolerated * 2 ** this.#times) * (1 + spread * this.#random())
  }
}
