// What this browser remembers of its broadcast, so that a page that was closed
// or loaded again can go on with it.

export interface Memory {
  streamId: string
  /** Unix milliseconds. */
  startedAt: number
}

const key = 'broadcast'

export function remember(memory: Memory): void {
  try {
    localStorage.setItem(key, JSON.stringify(memory))
  } catch {
    // Without storage the broadcast can be continued too, once the server knows that it waits.
  }
}

export function forget(): void {
  try {
    localStorage.removeItem(key)
  } catch {
    // nothing was kept
  }
}

export function remembered(): Memory | null {
  try {
    return readMemory(localStorage.getItem(key))
  } catch {
    return null
  }
}

export function readMemory(text: string | null): Memory | null {
  if (!text) return null
  try {
    const { streamId, startedAt } = JSON.parse(text) as Partial<Memory>
    if (typeof streamId !== 'string' || typeof startedAt !== 'number') return null
    return { streamId, startedAt }
  } catch {
    return null
  }
}
