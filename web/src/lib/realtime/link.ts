// What a way of getting messages offers, whichever way it is.

import type { Message } from '../api/types'

export interface LinkEvents {
  /** The link stands and every topic asked for is subscribed. */
  up(): void
  message(topic: string, message: Message): void
  /** The link is gone, for good; said once. */
  down(): void
}

export interface Link {
  /** Changes the topics; messages of topics that stay are not interrupted by MQTT. */
  setTopics(topics: string[]): void
  close(): void
}

export type OpenLink = (topics: string[], events: LinkEvents) => Link

/** Reads a message; anything that is not one is dropped. */
export function parseMessage(text: string): Message | null {
  try {
    const value = JSON.parse(text) as Partial<Message> | null
    if (!value || typeof value.type !== 'string') return null
    const detail = value.detail
    if (typeof detail !== 'object' || detail === null || Array.isArray(detail)) return null
    return { type: value.type, detail }
  } catch {
    return null
  }
}
