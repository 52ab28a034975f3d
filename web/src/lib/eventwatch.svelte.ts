// The list of events as it grows at both ends: at the top by what happens, at the
// bottom by what the archive has.

import { ApiError, api, reasonOf } from './api/client'
import type { EventDelivery, LoggedEvent, Place } from './api/types'
import { merge, parametersOf, report, type Deliveries, type Filters } from './eventlog'
import { listen } from './eventstream'

/** How long the archive may take to have what has just passed, in milliseconds. */
const settle = 1500

/** How often the list is drawn anew at most, in milliseconds. */
const every = 150

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

  #filters: Record<string, string> = {}
  #stop: (() => void) | undefined
  #timers: ReturnType<typeof setTimeout>[] = []
  #arrived: LoggedEvent[] = []
  #reports: EventDelivery[] = []
  #draw: ReturnType<typeof setTimeout> | undefined
  #round = 0

  /** Shows events that pass the filters, and forgets what was shown. */
  start(filters: Filters): void {
    this.stop()
    this.#filters = parametersOf(filters)
    this.events = this.held = []
    this.deliveries = {}
    this.loaded = this.reading = false
    this.error = ''
    this.place = this.next = undefined
    void this.#begin()
  }

  async #begin(): Promise<void> {
    const round = this.#round
    // First the archive: it says what is wrong with a filter.
    await this.#newest(true)
    if (round !== this.#round || this.error) return
    this.#stop = listen(this.#filters, {
      up: () => {
        this.connected = true
        void this.#newest(false)
        this.#timers.push(setTimeout(() => void this.#newest(false), settle))
      },
      down: () => (this.connected = false),
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
    this.#timers.forEach(clearTimeout)
    clearTimeout(this.#draw)
    this.#draw = undefined
    this.#timers = []
    this.#arrived = []
    this.#reports = []
    this.connected = false
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.events = merge(this.events, this.held)
    this.held = []
  }

  /** Reads what is older than the list. It returns how many it found. */
  async older(): Promise<number> {
    if (this.reading || !this.next) return 0
    const round = this.#round
    this.reading = true
    try {
      const page = await api.events(this.#filters, this.next)
      if (round !== this.#round) return 0
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

  /** Reads the newest ones, at the beginning and when some may have been missed. */
  async #newest(first: boolean): Promise<void> {
    const round = this.#round
    try {
      const page = await api.events(this.#filters)
      if (round !== this.#round) return
      if (first) {
        this.events = merge(this.events, page.data)
        this.next = page.nextPage
      } else {
        this.#add(page.data)
      }
      this.error = ''
      await this.#deliveriesOf(page.data)
    } catch (failure) {
      if (round !== this.#round || !first) return
      this.error = reasonOf(failure)
      this.place = failure instanceof ApiError ? failure.places.find((place) => place.location === 'query.pattern') : undefined
    } finally {
      if (round === this.#round) this.loaded = true
    }
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
      const shown = new Set([...this.events, ...this.held].map((event) => event.id))
      this.deliveries = report(this.deliveries, this.#reports, (id) => shown.has(id))
      this.#arrived = []
      this.#reports = []
    }, every)
  }

  #add(events: LoggedEvent[]): void {
    if (!this.paused) this.events = merge(this.events, events)
    else {
      const known = new Set(this.events.map((event) => event.id))
      this.held = merge(this.held, events.filter((event) => !known.has(event.id)))
    }
  }
}
