// The live edge by WebRTC, with what makes it give up in favour of HLS.

import { ApiError, reasonOf } from '../api/client'
import { Gauge, type Reading } from '../whep/gauge'
import { WhepSession } from '../whep/whep'
import type { Attached, Failure, Wanted } from './attach'

/** Longest wait for the first picture, and pause between pictures after which the server is asked, in milliseconds. */
const first = 4_000
const silence = 3_000
/** Milliseconds between two looks at the statistics. */
const look = 500

/** Why a session is given up; text is for people. */
interface Verdict {
  reason: Failure
  text?: string
}

const tooLate = { reason: 'unfit', text: 'No picture came over WebRTC; a firewall may be in the way.' } as const

/** Follows the pictures that arrive and says when to ask the server, or to give up. Times in milliseconds. */
export class Watch {
  #begun: number
  #seen = 0
  #moved: number
  #shown = false

  constructor(now: number) {
    this.#begun = now
    this.#moved = now
  }

  /** Notes what has arrived by now; silent when the server should be asked what is wrong, late when no first picture came. */
  note({ received, decoded }: Pick<Reading, 'received' | 'decoded'>, now: number): 'fine' | 'late' | 'silent' {
    if (decoded > 0) this.#shown = true
    if (received > this.#seen) {
      this.#seen = received
      this.#moved = now
    }
    if (!this.#shown) return now - this.#begun > first ? 'late' : 'fine'
    return now - this.#moved > silence ? 'silent' : 'fine'
  }
}

/** What a failed request for a session means. */
export function refusal(error: unknown): Verdict {
  if (error instanceof ApiError) {
    if (error.status === 404) return { reason: 'missing' }
    if (error.status === 0) return { reason: 'network' }
  }
  return { reason: 'unfit', text: reasonOf(error) }
}

/** Resolves once the session stands, or was given up. */
export async function withWhep(video: HTMLVideoElement, wanted: Wanted): Promise<Attached> {
  let session: WhepSession | null = null
  let over = false
  let asking = false
  let latency: number | null = null
  let timer: ReturnType<typeof setInterval> | undefined
  const gauge = new Gauge()
  const watch = new Watch(Date.now())

  const end = () => {
    over = true
    clearInterval(timer)
    void session?.stop()
  }
  const fail = (verdict: Verdict) => {
    if (over) return
    end()
    wanted.failed(verdict.reason, verdict.text)
  }

  async function check(current: WhepSession): Promise<void> {
    const reading = gauge.read(await current.stats(), Date.now())
    if (over) return
    if (reading.latency !== null) latency = reading.latency
    const state = watch.note(reading, Date.now())
    if (state === 'late') return fail(tooLate)
    const broken = current.state === 'failed' || current.state === 'closed'
    if ((state === 'fine' && !broken) || asking) return
    asking = true
    const fate = await current.fate()
    asking = false
    if (fate === 'moved') fail({ reason: 'unfit', text: 'Your connection is too slow for it at the moment.' })
    else if (fate === 'gone') fail({ reason: 'missing' })
    // Still there and no picture: the broadcaster is away, and comes back into the same session.
    else if (broken) fail({ reason: 'network' })
  }

  const patience = setTimeout(() => fail(tooLate), first)
  try {
    const made = await WhepSession.start({ endpoint: wanted.source.url })
    session = made
    if (over || !wanted.current()) end()
    else {
      video.srcObject = made.stream
      timer = setInterval(() => void check(made).catch(() => {}), look)
    }
  } catch (error) {
    fail(refusal(error))
  } finally {
    clearTimeout(patience)
  }

  return {
    latency: () => latency,
    date: () => null,
    edge: () => null,
    time: () => 0,
    toLive() {},
    seek() {},
    levels: () => [],
    level: () => -1,
    height: () => video.videoHeight,
    choose() {},
    detach() {
      end()
      video.srcObject = null
    },
  }
}
