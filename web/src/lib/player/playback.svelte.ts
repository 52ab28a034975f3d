// One viewer's playback of a live broadcast: at its edge by HLS or WebRTC, or
// somewhere back in it. Decides which source plays; the player only plays it.

import { notices } from '../notices.svelte'
import type { Attached, Failure, Level, Moment, Source } from './attach'
import { EdgeClock } from './clock'
import { Stall } from './stall'
import { storedWay, storeWay, type Way } from './way'

/** Nearer to the edge than this, in seconds, is live: stored segments come up to there. */
const near = 6
/** A live picture that lags by more seconds than this, after a stall, jumps to the edge. */
const late = 10
/** Not again within this many milliseconds: a line too slow for the stream would only see jumps. */
const rest = 20_000
/** A pause longer than this, in milliseconds, goes on where it was. */
const pausedLong = 6_000
/** Failures in a row of WebRTC after which it is HLS's turn. */
const patience = 3

export interface Broadcast {
  channel: string
  streamId: string
  /** When it began, RFC 3339; "" while not known. */
  since: string
}

export class LivePlayback {
  readonly broadcast: Broadcast
  way = $state<Way>('hls')
  source = $state.raw<Source>({ kind: 'live', url: '' })
  /** Raised to attach the same source anew. */
  attempt = $state(0)
  /** Seconds from the server to the screen, at the edge; null when not known. */
  latency = $state<number | null>(null)
  /** Seconds that the broadcast has lasted, and how many of them the picture is behind. */
  length = $state(0)
  behind = $state(0)
  levels = $state.raw<Level[]>([])
  level = $state(-1)
  height = $state(0)

  #attached: Attached | null = null
  #clock = new EdgeClock()
  #stall = new Stall()
  #jumped = 0
  #failures = 0
  #told = false
  #pausedAt = 0
  #pausedDate: number | null = null

  constructor(broadcast: Broadcast, way: Way = storedWay()) {
    this.broadcast = { ...broadcast }
    this.way = way
    this.source = this.#edgeSource()
  }

  get rewound(): boolean {
    return this.source.kind === 'dvr'
  }

  /** Whether there is anything to go back to. */
  get canRewind(): boolean {
    return this.broadcast.streamId !== '' && this.length > 2 * near
  }

  /** The second of the recording that is on the screen, for going on there; 0 at the edge. */
  get second(): number {
    return this.rewound ? (this.#attached?.time() ?? 0) : 0
  }

  /** When the broadcast began, by the server's clock. */
  began(since: string): void {
    this.broadcast.since = since
  }

  attachedTo(attached: Attached | null): void {
    this.#attached = attached
    this.#stall.reset()
    this.latency = null
  }

  /** To be called about twice a second while a picture plays. */
  tick(now: number, playing: boolean): void {
    const attached = this.#attached
    const edge = attached?.edge() ?? null
    if (edge !== null) this.#clock.observe(edge, now)
    const began = Date.parse(this.broadcast.since)
    if (!Number.isNaN(began)) this.length = Math.max(0, (this.#clock.at(now) - began) / 1000)
    if (!attached) return
    if (this.rewound) this.#follow(attached, now)
    else {
      this.latency = attached.latency()
      this.behind = this.latency ?? 0
      if (playing) this.#catchUp(attached, now)
      // WebRTC looks after itself.
      if (!playing || edge === null) this.#stall.reset()
      else if (this.#stall.note(attached.time(), edge, now)) this.again(now)
    }
    this.#look(attached)
  }

  #follow(attached: Attached, now: number): void {
    const date = attached.date()
    this.latency = null
    this.behind = Math.min(this.length, Math.max(0, date !== null ? (this.#clock.at(now) - date) / 1000 : (attached.latency() ?? this.behind)))
  }

  #catchUp(attached: Attached, now: number): void {
    if (this.latency === null || this.latency <= late || now < this.#jumped + rest) return
    this.#jumped = now
    attached.toLive()
  }

  #look(attached: Attached): void {
    const levels = attached.levels()
    if (levels.length !== this.levels.length || levels.some((level, i) => level.id !== this.levels[i]?.id)) this.levels = levels
    this.level = attached.level()
    this.height = attached.height()
  }

  /** Goes to so many seconds behind the live edge; near enough to it is live. */
  rewind(behind: number, now = Date.now()): void {
    if (!this.canRewind || behind < near) return this.toLive()
    const back = Math.min(behind, this.length)
    const at: Moment = this.#clock.known ? { date: this.#clock.at(now) - back * 1000, behind: back } : { behind: back }
    this.#goTo(at)
  }

  /** Goes forth (or back, below 0) by seconds. */
  step(seconds: number): void {
    if (!this.rewound && seconds > 0) return
    this.rewind(this.behind - seconds)
  }

  #goTo(at: Moment): void {
    this.behind = at.behind
    if (this.rewound && this.#attached && this.#attached.date() !== null) {
      this.#attached.seek(at)
      return
    }
    const { channel, streamId } = this.broadcast
    this.source = { kind: 'dvr', url: `/live/${encodeURIComponent(channel)}/${encodeURIComponent(streamId)}/dvr.m3u8`, at }
  }

  toLive(): void {
    if (this.rewound) this.source = this.#edgeSource()
    else this.#attached?.toLive()
    this.behind = 0
  }

  paused(now: number): void {
    this.#pausedAt = now
    this.#pausedDate = this.#attached?.date() ?? null
  }

  /** After a long pause, goes on where the picture stood; WebRTC has nothing but the edge. */
  resumed(now: number): void {
    const away = this.#pausedAt > 0 ? now - this.#pausedAt : 0
    this.#pausedAt = 0
    if (away < pausedLong || this.source.kind !== 'live' || this.#pausedDate === null || !this.canRewind) return
    this.#goTo({ date: this.#pausedDate, behind: Math.max(near, (this.#clock.at(now) - this.#pausedDate) / 1000) })
  }

  chooseLevel(level: number): void {
    this.#attached?.choose(level)
    this.level = level
  }

  /** What the viewer chooses holds for the next broadcast too. */
  choose(way: Way): void {
    storeWay(way)
    this.#failures = 0
    this.#told = false
    this.way = way
    if (this.rewound && way === 'hls') return
    this.source = this.#edgeSource()
    this.behind = 0
  }

  playing(): void {
    this.#failures = 0
  }

  /** Takes what failed; says whether another way was taken, or the page has to decide. */
  failed(reason: Failure, text = ''): boolean {
    if (this.source.kind === 'webrtc') {
      this.#failures++
      if (reason !== 'unfit' && reason !== 'media' && this.#failures < patience) return false
      this.#fallBack(text)
      return true
    }
    if (this.source.kind === 'dvr' && reason === 'missing') {
      notices.show('This part of the broadcast cannot be had at the moment.', 'info')
      this.toLive()
      return true
    }
    return false
  }

  /** Attaches anew; in the past, where the picture was. */
  again(now = Date.now()): void {
    if (this.source.kind === 'dvr') {
      const date = this.#clock.known ? this.#clock.at(now) - this.behind * 1000 : undefined
      this.source = { ...this.source, at: { date, behind: this.behind } }
    }
    this.attempt++
  }

  /** For this broadcast only: the viewer's choice stays what it is. */
  #fallBack(why: string): void {
    this.way = 'hls'
    this.source = this.#edgeSource()
    if (this.#told) return
    this.#told = true
    notices.show(`${why || 'Ultra low latency cannot be had at the moment.'} You now watch with low latency.`, 'info')
  }

  #edgeSource(): Source {
    const channel = encodeURIComponent(this.broadcast.channel)
    // beacons: this page counts its viewer by them, so the connection does not.
    return this.way === 'webrtc' ? { kind: 'webrtc', url: `/whep/${channel}?beacons=1` } : { kind: 'live', url: `/live/${channel}/master.m3u8` }
  }
}
