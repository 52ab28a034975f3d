// Finds a moment in the playlists of a broadcast's past (RFC 8216), before the
// player begins: hls.js takes a place to start at, not a date.

import type { Moment } from './attach'
import { timeOf, type Piece } from './clock'

/** More lines than a day of two-second segments has. */
const mostLines = 400_000

/** The media playlist that a multivariant playlist names first; null when it is a media playlist itself. */
export function firstVariant(text: string): string | null {
  if (!text.includes('#EXT-X-STREAM-INF')) return null
  const lines = text.split('\n')
  const at = lines.findIndex((line) => line.startsWith('#EXT-X-STREAM-INF'))
  return lines.slice(at + 1).find((line) => line.trim() !== '' && !line.startsWith('#'))?.trim() ?? null
}

/** The segments of a media playlist. A segment without a date follows on the one before. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = []
  let start = 0
  let duration: number | null = null
  let date: number | null = null
  for (const line of text.split('\n', mostLines)) {
    if (line.startsWith('#EXTINF:')) duration = Number.parseFloat(line.slice(8))
    else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) {
      const at = Date.parse(line.slice(25).trim())
      if (!Number.isNaN(at)) date = at
    } else if (line.trim() !== '' && !line.startsWith('#') && duration !== null && duration >= 0) {
      pieces.push({ start, duration, programDateTime: date })
      start += duration
      if (date !== null) date += duration * 1000
      duration = null
    }
  }
  return pieces
}

/** The second of the playlists at which a moment is. Rejects with the HTTP status when they cannot be had. */
export async function placeOf(url: string, at: Moment, fetcher: typeof fetch = fetch): Promise<number> {
  const read = async (from: string) => {
    const response = await fetcher(from)
    if (!response.ok) throw new Error(String(response.status))
    return { text: await response.text(), base: response.url || from }
  }
  const { text, base } = await read(url)
  const variant = firstVariant(text)
  const media = variant === null ? text : (await read(new URL(variant, new URL(base, globalThis.location?.href)).href)).text
  return timeOf(piecesOf(media), at)
}
