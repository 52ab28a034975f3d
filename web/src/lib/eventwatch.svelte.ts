// The list of events as it grows at both ends: at the top by what happens, at the
// bottom by what the archive has.

import { ApiError, api, reasonOf } from './api/client'
import type { EventDelivery, LoggedEvent, Place } from './api/types'
import { merge, mostKept, only, parametersOf, report, type Deliveries, type Filters } from './eventlog'
import { listen } from './eventstream'

/** How long the archive may take to have what has just passed, in milliseconds. */
const settle = 1500

/** How long after that the archive is asked once more: what a killed server had in work comes again after 10 s. */
const late = 12_000

/** How often the list is drawn anew at most, in milliseconds. */
const every = 150

/** How long until what may have been missed is asked for anew, in milliseconds. */
const again = 5000

/** How many pages are read to find out whether something was missed. */
const mostPages = 4

/** A list that begins anew: nothing of what was shown before joins it. */
interface Anew {
  next: string | undefined
}

export class EventWatch {
  events = $state.raw<LoggedEvent[]>([])
  deliveries = $state.raw<Deliveries>({})
  /** What came while the list is paused. */
  held = $state.raw<LoggedEvent[]>([])
  paused = $state(false)
  connected = $state(false)
  loaded = $state(false)
  /** Older ones are being read. */
  reading = $state(false)
  error = $state('')
  /** What is wrong with the pattern. */
  place = $state<Place>()
  /** Where the archive goes on; absent at its beginning. */
  next = $state<string>()
  /** The list has as many as it may have; older ones would be dropped. */
  full = $derived(this.events.length >= mostKept)

  #filters: Record<string, string> = {}
  #stop: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #late: ReturnType<typeof setTimeout> | undefined
  #arrived: LoggedEvent[] = []
  #reports: EventDelivery[] = []
  #draw: ReturnType<typeof setTimeout> | undefined
  #round = 0
  /** What was known when the stream came (back), while something may be missing after it. */
  #before: Set<string> | undefined
  /** While paused: what is held does not join what is shown. */
  #anew: Anew | undefined

  /** Shows events that pass the filters, and forgets what was shown. */
  start(filters: Filters): void {
    this.stop()
    this.#filters = parametersOf(filters)
    this.events = this.held = []
    this.deliveries = {}
    this.loaded = this.reading = false
    this.error = ''
    this.place = this.next = undefined
    this.#before = this.#anew = undefined
    void this.#begin()
  }

  async #begin(): Promise<void> {
    const round = this.#round
    // First the archive: it says what is wrong with a filter.
    await this.#newest()
    if (round !== this.#round || this.error) return
    this.#stop = listen(this.#filters, {
      up: () => {
        this.connected = true
        this.#before ??= new Set(this.#known().map((event) => event.id))
        void this.#catchUp(false)
        this.#catchUpIn(settle)
        clearTimeout(this.#late)
        this.#late = setTimeout(() => void this.#lookAgain(), settle + late)
      },
      down: () => {
        this.connected = false
        clearTimeout(this.#late) // what it would find belongs behind what is missed now
      },
      refused: (why) => {
        this.error = why
        clearTimeout(this.#late)
      },
      event: (event) => {
        this.#arrived.push(event)
        this.#drawSoon()
      },
      delivery: (delivery) => {
        this.#reports.push(delivery)
        this.#drawSoon()
      },
    })
  }

  stop(): void {
    this.#round++
    this.#stop?.()
    this.#stop = undefined
    clearTimeout(this.#timer)
    clearTimeout(this.#late)
    clearTimeout(this.#draw)
    this.#draw = undefined
    this.#arrived = []
    this.#reports = []
    this.connected = false
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    if (this.#anew) {
      this.events = this.held
      this.next = this.#anew.next
      this.#anew = undefined
    } else {
      this.events = merge(this.events, this.held)
    }
    this.held = []
    this.#forget()
  }

  /** Reads what is older than the list. It returns how many it found. */
  async older(): Promise<number> {
    if (this.reading || !this.next || this.full) return 0
    const round = this.#round
    const from = this.next
    this.reading = true
    try {
      const page = await api.events(this.#filters, from)
      // Nothing of a list that has begun anew meanwhile.
      if (round !== this.#round || from !== this.next) return 0
      this.events = merge(this.events, page.data)
      this.next = page.nextPage
      await this.#deliveriesOf(page.data)
      return page.count
    } finally {
      if (round === this.#round) this.reading = false
    }
  }

  /** Reads what became of one event: a report may have been lost. */
  async look(event: LoggedEvent): Promise<void> {
    await this.#deliveriesOf([event])
  }

  /** Reads the newest ones, at the beginning. */
  async #newest(): Promise<void> {
    const round = this.#round
    try {
      const page = await api.events(this.#filters)
      if (round !== this.#round) return
      this.events = merge(this.events, page.data)
      this.next = page.nextPage
      this.error = ''
      await this.#deliveriesOf(page.data)
    } catch (failure) {
      if (round !== this.#round) return
      this.error = reasonOf(failure)
      this.place = failure instanceof ApiError ? failure.places.find((place) => place.location === 'query.pattern') : undefined
    } finally {
      if (round === this.#round) this.loaded = true
    }
  }

  #catchUpIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#catchUp(true), ms)
  }

  /**
   * Reads what may have been missed while the stream was away; for good once the
   * archive has had the time to have all of it.
   */
  async #catchUp(settled: boolean): Promise<void> {
    const round = this.#round
    const before = this.#before
    if (!before) return
    try {
      const { found, next, joins } = await this.#since(before)
      if (round !== this.#round || before !== this.#before) return
      if (joins) this.#add(found)
      else this.#beginAnew(before, found, next)
      if (settled) this.#before = undefined
      // As many as one request may ask for.
      await this.#deliveriesOf(found.slice(0, 50))
    } catch {
      if (settled && round === this.#round && before === this.#before) this.#catchUpIn(again)
    }
  }

  /** Adds what the archive has got late of the time around the coming back. A failure costs nothing but that. */
  async #lookAgain(): Promise<void> {
    const round = this.#round
    try {
      const page = await api.events(this.#filters)
      if (round !== this.#round || this.#before) return
      // What is older than all that is shown is not missing: it comes with the page that is read next.
      const known = this.#known()
      const oldest = known.reduce((least, event) => (event.at < least ? event.at : least), known[0]?.at ?? '')
      this.#add(page.data.filter((event) => event.at >= oldest))
      await this.#deliveriesOf(page.data)
    } catch {
      // The next coming back looks as well.
    }
  }

  /** Reads the newest ones until they join what was known, or there are too many. */
  async #since(before: Set<string>): Promise<{ found: LoggedEvent[]; next: string | undefined; joins: boolean }> {
    const found: LoggedEvent[] = []
    let next: string | undefined
    for (let pages = 0; pages < mostPages; pages++) {
      const page = await api.events(this.#filters, next)
      found.push(...page.data)
      next = page.nextPage
      // Where nothing was known and nothing is found, the search goes on where it was.
      if (!next || page.data.some((event) => before.has(event.id)) || (before.size === 0 && found.length === 0)) return { found, next, joins: true }
      if (before.size === 0) break
    }
    return { found, next, joins: false }
  }

  /**
   * Something between what was known before and what is found may be missing: what was
   * known goes, and the list goes on where what is found ends.
   */
  #beginAnew(before: Set<string>, found: LoggedEvent[], next: string | undefined): void {
    const list = merge(found, this.#known().filter((event) => !before.has(event.id)))
    before.clear()
    for (const event of found) before.add(event.id)
    if (this.paused) {
      this.held = list
      this.#anew = { next }
      return
    }
    this.events = list
    this.next = next
    this.#forget()
  }

  /** What the list is, or will be when it goes on. */
  #known(): LoggedEvent[] {
    return [...(this.#anew ? [] : this.events), ...this.held, ...this.#arrived]
  }

  async #deliveriesOf(events: LoggedEvent[]): Promise<void> {
    if (events.length === 0) return
    const round = this.#round
    try {
      const { data } = await api.deliveriesOf(events.map((event) => event.id))
      if (round === this.#round) this.deliveries = report(this.deliveries, data)
    } catch {
      // The list is of use without them, and opening an event asks again.
    }
  }

  #drawSoon(): void {
    this.#draw ??= setTimeout(() => {
      this.#draw = undefined
      this.#add(this.#arrived)
      this.#arrived = []
      const shown = this.#forget()
      this.deliveries = report(this.deliveries, this.#reports, (id) => shown.has(id))
      this.#reports = []
    }, every)
  }

  /** Drops the deliveries of events that are shown no more. It returns the ids of those that are. */
  #forget(): Set<string> {
    const shown = new Set([...this.events, ...this.held].map((event) => event.id))
    this.deliveries = only(this.deliveries, shown)
    return shown
  }

  #add(events: LoggedEvent[]): void {
    if (!this.paused) this.events = merge(this.events, events)
    else {
      const known = new Set(this.events.map((event) => event.id))
      this.held = merge(this.held, events.filter((event) => !known.has(event.id)))
    }
  }
}
