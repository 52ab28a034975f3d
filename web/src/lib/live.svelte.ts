// Who is live now, kept true by realtime messages.

import { api, reasonOf } from './api/client'
import type { Channel, Message } from './api/types'
import { starvation, streamChange, viewCount } from './events'
import { globalTopic, realtime } from './realtime/realtime.svelte'

/** How old a public list may be, in milliseconds. */
const cached = 10_000
/** Thumbnails and counts are asked for this often while somebody is live, in milliseconds. */
const every = 60_000
/** After a start, this often and so many times until there is a first picture. */
const soon = 4_000
const looks = 5

class LiveChannels {
  channels = $state<Channel[]>([])
  loaded = $state(false)
  error = $state('')
  /** Streams that ended: an answer or a start that comes late must not bring them back. */
  #ended = new Set<string>()
  /** When channels were heard to begin: a list from a cache may be older, and lack them. */
  #began = new Map<string, number>()

  /** Follows what is live for as long as the app runs. */
  start(): void {
    realtime.listen(globalTopic, (message) => this.#hear(message))
    realtime.onSnapshot(() => {
      void this.refresh()
      // The list may come from a cache, of before a start that was not heard: once more when it cannot be that old.
      setTimeout(() => void this.refresh(), cached)
    })
    void this.refresh()
    setInterval(() => {
      if (this.channels.length > 0 && !document.hidden) void this.refresh()
    }, every)
  }

  async refresh(): Promise<void> {
    try {
      const page = await api.liveChannels()
      const listed = page.data.filter((channel) => channel.live && !this.#ended.has(channel.streamId ?? ''))
      const known = new Set(listed.map((channel) => channel.name))
      const younger = Date.now() - cached
      const begun = this.channels.filter((channel) => !known.has(channel.name) && (this.#began.get(channel.name) ?? 0) > younger)
      this.channels = [...begun, ...listed]
      this.error = ''
      this.loaded = true
    } catch (error) {
      if (!this.loaded) this.error = reasonOf(error)
    }
  }

  of(id: string): Channel | undefined {
    return this.channels.find((channel) => channel.name === id)
  }

  #hear(message: Message): void {
    const views = viewCount(message)
    if (views) {
      const channel = this.of(views.channel)
      if (channel) channel.viewCount = views.count
      return
    }
    const absence = starvation(message)
    if (absence) {
      const channel = this.of(absence.channel)
      if (channel) channel.reconnecting = absence.away
      return
    }
    const change = streamChange(message)
    if (!change) return
    if (change.live) void this.#begin(change.channel, change.streamId)
    else this.#over(change.channel, change.streamId)
  }

  async #begin(id: string, streamId: string): Promise<void> {
    if (this.#ended.has(streamId)) return
    this.#began.set(id, Date.now())
    try {
      const channel = await api.channel(id)
      if (this.#ended.has(streamId)) return
      const row: Channel = { ...channel, live: true, streamId: channel.streamId || streamId, startedAt: channel.startedAt ?? channel.liveSince ?? new Date().toISOString() }
      this.channels = [row, ...this.channels.filter((other) => other.name !== id)]
      this.#lookForPicture(id, looks)
    } catch {
      await this.refresh()
    }
  }

  #lookForPicture(id: string, left: number): void {
    setTimeout(async () => {
      const channel = this.of(id)
      if (!channel || channel.thumbnail) return
      await this.refresh()
      if (left > 1) this.#lookForPicture(id, left - 1)
    }, soon)
  }

  #over(id: string, streamId: string): void {
    if (streamId) this.#ended.add(streamId)
    this.#began.delete(id)
    this.channels = this.channels.filter(
      (channel) => channel.name !== id || (streamId !== '' && channel.streamId !== undefined && channel.streamId !== streamId),
    )
  }
}

export const live = new LiveChannels()
