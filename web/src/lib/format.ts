// Numbers and times as people read them.

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** 65_000 -> "1:05", 3_725_000 -> "1:02:05". Milliseconds in; never negative. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.floor((Number.isFinite(ms) ? ms : 0) / second))
  const h = Math.floor(total / 3600)
  const m = Math.floor((total % 3600) / 60)
  const s = String(total % 60).padStart(2, '0')
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`
}

/** For screen readers: 65_000 -> "1 minute 5 seconds". */
export function spokenDuration(ms: number): string {
  const total = Math.max(0, Math.round((Number.isFinite(ms) ? ms : 0) / second))
  const parts: [number, string][] = [
    [Math.floor(total / 3600), 'hour'],
    [Math.floor((total % 3600) / 60), 'minute'],
    [total % 60, 'second'],
  ]
  const words = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}${n === 1 ? '' : 's'}`)
  return words.join(' ') || '0 seconds'
}

/** A span between two steps: "12 ms", "1.4 s", "2 min 5 s", "3 h 12 min". */
export function span(ms: number): string {
  const value = Math.max(0, Number.isFinite(ms) ? ms : 0)
  if (value < second) return `${Math.round(value)} ms`
  if (value < 9.95 * second) return `${(value / second).toFixed(1)} s`
  if (Math.round(value / second) < 60) return `${Math.round(value / second)} s`
  if (value < hour) {
    const s = Math.round(value / second)
    return s % 60 === 0 ? `${s / 60} min` : `${Math.floor(s / 60)} min ${s % 60} s`
  }
  const m = Math.round(value / minute)
  return m % 60 === 0 ? `${m / 60} h` : `${Math.floor(m / 60)} h ${m % 60} min`
}

/** "just now", "5 minutes ago", "yesterday", "12 March 2026". */
export function relative(time: string, now = Date.now(), locale = 'en'): string {
  const at = Date.parse(time)
  if (Number.isNaN(at)) return ''
  const ago = now - at
  if (ago < 45 * second) return 'just now'
  const words = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  if (ago < hour) return words.format(-Math.max(1, Math.round(ago / minute)), 'minute')
  if (ago < day) return words.format(-Math.round(ago / hour), 'hour')
  if (ago < 7 * day) return words.format(-Math.round(ago / day), 'day')
  if (ago < 28 * day) return words.format(-Math.round(ago / (7 * day)), 'week')
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' }).format(at)
}

/** How long ago something began: "a moment", "43 minutes", "2 hours". */
export function longFor(time: string, now = Date.now(), locale = 'en'): string {
  const ms = now - Date.parse(time)
  if (!(ms >= 45 * second)) return 'a moment'
  const [n, unit] = ms < hour ? [Math.max(1, Math.round(ms / minute)), 'minute'] : [Math.round(ms / hour), 'hour']
  return new Intl.NumberFormat(locale, { style: 'unit', unit: unit as string, unitDisplay: 'long' }).format(n as number)
}

/** The whole date and time, for titles and hints. */
export function fullDate(time: string, locale = 'en'): string {
  const at = Date.parse(time)
  if (Number.isNaN(at)) return ''
  return new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'short' }).format(at)
}

/** 14:03:07, for the steps of a timeline. */
export function timeOfDay(time: string, locale = 'en-GB'): string {
  const at = Date.parse(time)
  if (Number.isNaN(at)) return ''
  return new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(at)
}

/** 1234 -> "1.2K". */
export function compact(n: number, locale = 'en'): string {
  return new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 }).format(n)
}

/** 1234 -> "1,234". */
export function count(n: number, locale = 'en'): string {
  return new Intl.NumberFormat(locale).format(n)
}

/** "1 recording", "1,234 recordings". */
export function recordings(n: number): string {
  return `${count(n)} ${n === 1 ? 'recording' : 'recordings'}`
}

/** "1 viewer", "2 viewers", "1.2K viewers". */
export function viewers(n: number): string {
  return `${compact(n)} ${n === 1 ? 'viewer' : 'viewers'}`
}

/** A video's title; one without says when it was made. */
export function titleOf(video: { title?: string; createdAt: string }, locale = 'en'): string {
  const title = video.title?.trim()
  if (title) return title
  const at = Date.parse(video.createdAt)
  if (Number.isNaN(at)) return 'Broadcast'
  return 'Broadcast of ' + new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', hour: '2-digit', minute: '2-digit', hour12: false }).format(at)
}

/** A hue that belongs to an id, for generated artwork: cyan over blue, violet and pink to red (190 to 369 degrees). */
export function hueOf(id: string): number {
  let hash = 2166136261
  for (const char of id) hash = Math.imul(hash ^ char.charCodeAt(0), 16777619)
  hash = Math.imul(hash ^ (hash >>> 15), 2246822519)
  hash = Math.imul(hash ^ (hash >>> 13), 3266489917)
  return 190 + (((hash ^ (hash >>> 16)) >>> 0) % 180)
}

/** 23_456_789 -> "23.5 MB", in powers of 1000. */
export function size(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let value = Math.max(0, Number.isFinite(bytes) ? bytes : 0)
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
