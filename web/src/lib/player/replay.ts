// The reactions of a recording, drawn when the picture comes to their moment.

import { toReaction, type Reaction } from '../events'
import { readTexts } from './id3'

const description = 'serverlessvideo.reaction'
/** As many reactions as a recording keeps in memory, and as one entry stands for. */
const most = 20_000
const crowd = 12
/** A step of the picture longer than this, in seconds, is a seek: what lies between was not seen. */
const jump = 1.5

interface Entry {
  at: number
  reaction: Reaction
  count: number
}

/** The reactions in an ID3 tag; of rubbish, none. */
export function reactionsIn(tag: Uint8Array): { reaction: Reaction; count: number }[] {
  const found: { reaction: Reaction; count: number }[] = []
  for (const text of readTexts(tag)) {
    if (text.description !== description) continue
    try {
      const value = JSON.parse(text.value) as Record<string, unknown> | null
      const reaction = value && typeof value === 'object' ? toReaction(value) : null
      if (!reaction) continue
      const count = Number(value?.count)
      found.push({ reaction, count: Number.isInteger(count) && count > 0 ? Math.min(count, crowd) : 1 })
    } catch {
      // not JSON, so not ours
    }
  }
  return found
}

export class Replay {
  #entries: Entry[] = []
  /** Segments are read again after a seek or at another quality: each reaction counts once. */
  #known = new Set<string>()
  #last: number | null = null
  #draw: (reaction: Reaction) => void = () => {}

  /** Whom to tell; one listener, as there is one picture. */
  listen(draw: (reaction: Reaction) => void): () => void {
    this.#draw = draw
    return () => (this.#draw = () => {})
  }

  /** Takes an ID3 tag at a second of the recording. */
  add(at: number, tag: Uint8Array): void {
    if (!Number.isFinite(at)) return
    for (const { reaction, count } of reactionsIn(tag)) {
      const key = `${Math.round(at * 100)} ${reaction.type} ${reaction.x} ${reaction.y} ${reaction.userId}`
      if (this.#known.has(key) || this.#entries.length >= most) continue
      this.#known.add(key)
      this.#insert({ at, reaction, count })
    }
  }

  /** The picture is at this second now. */
  advance(now: number): void {
    const last = this.#last
    this.#last = now
    if (last === null || now <= last || now - last > jump) return
    for (let i = this.#after(last); i < this.#entries.length; i++) {
      const { at, reaction, count } = this.#entries[i] as Entry
      if (at > now) return
      for (let n = 0; n < count; n++) this.#draw(n === 0 ? reaction : aside(reaction, n))
    }
  }

  #insert(entry: Entry): void {
    this.#entries.splice(this.#after(entry.at), 0, entry)
  }

  /** The index of the first entry later than a time. */
  #after(time: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#entries[middle] as Entry).at <= time) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The others of a crowd stand around the first. */
function aside(reaction: Reaction, n: number): Reaction {
  const turn = n * 2.4
  const spread = (value: number, by: number) => Math.min(1, Math.max(0, value + by * 0.04 * Math.sqrt(n)))
  return { ...reaction, x: spread(reaction.x, Math.cos(turn)), y: spread(reaction.y, Math.sin(turn)) }
}
