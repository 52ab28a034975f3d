// A list of a page of the app, read in pages and looked at again.

import { reasonOf } from './api/client'
import type { Page } from './api/types'
import { appended, merged, type Row } from './list'
import { notices } from './notices.svelte'

export class List<T extends Row> {
  rows = $state.raw<T[]>([])
  /** Where it goes on; absent at its end. */
  next = $state<string>()
  loaded = $state(false)
  /** A page is being read because somebody asked for it. */
  reading = $state(false)
  /** Why there are no rows. */
  error = $state('')

  readonly #read: (offset?: string) => Promise<Page<T>>
  #round = 0

  constructor(read: (offset?: string) => Promise<Page<T>>) {
    this.#read = read
  }

  /**
   * Reads the first page, and forgets the further ones.
   * @param other what is shown is of another filter, and of no use if this fails
   */
  async load(other = false): Promise<void> {
    await this.#ask(undefined, (page) => page.data, other)
    this.loaded = true
  }

  /** Reads the next page. */
  async more(): Promise<void> {
    if (this.reading || !this.next) return
    await this.#ask(this.next, (page) => appended(this.rows, page.data))
  }

  /** Reads the first page anew under what is shown. A failure says nothing: it is done again soon. */
  async refresh(): Promise<void> {
    if (!this.loaded || this.reading) return
    const round = this.#round
    const before = this.rows
    const page = await this.#read().catch(() => null)
    // Somebody has done something meanwhile.
    if (!page || round !== this.#round || before !== this.rows) return
    this.rows = merged(before, page.data, page.nextPage === undefined)
    if (this.rows.length <= page.data.length) this.next = page.nextPage
    this.error = ''
  }

  /** Takes a row over that an answer has told. */
  put(row: T): void {
    const known = this.rows.some(({ id }) => id === row.id)
    this.rows = known ? this.rows.map((one) => (one.id === row.id ? row : one)) : [row, ...this.rows]
  }

  /** Takes a row away that is gone. Returns the one that is in its place now, or is the last. */
  drop(id: string): T | undefined {
    const place = this.rows.findIndex((row) => row.id === id)
    this.rows = this.rows.filter((row) => row.id !== id)
    return this.rows[place] ?? this.rows.at(-1)
  }

  async #ask(offset: string | undefined, rowsOf: (page: Page<T>) => T[], other = false): Promise<void> {
    const round = ++this.#round
    this.reading = true
    try {
      const page = await this.#read(offset)
      if (round !== this.#round) return
      this.rows = rowsOf(page)
      this.next = page.nextPage
      this.error = ''
    } catch (failure) {
      if (round !== this.#round) return
      if (other) this.rows = []
      if (this.rows.length === 0) this.error = reasonOf(failure)
      else notices.show(reasonOf(failure), 'bad')
    } finally {
      if (round === this.#round) this.reading = false
    }
  }
}
