// Reads ID3v2 tags (id3.org, v2.3 and v2.4) as far as timed metadata needs
// them: frames TXXX, with a description and a value.

/** A tag above this many bytes, and more frames than that, are not ours. */
const largest = 64 * 1024
const mostFrames = 256

export interface Text {
  description: string
  value: string
}

/** The TXXX frames of one tag, or of several in a row. What is broken ends the reading; what came before stands. */
export function readTexts(bytes: Uint8Array): Text[] {
  const found: Text[] = []
  if (bytes.length > largest) return found
  let at = 0
  while (found.length < mostFrames) {
    const tag = tagAt(bytes, at)
    if (!tag) break
    readFrames(tag, found)
    at = tag.end
  }
  return found
}

interface Tag {
  version: number
  /** The frames. */
  body: Uint8Array
  end: number
}

function tagAt(bytes: Uint8Array, at: number): Tag | null {
  if (bytes.length - at < 10) return null
  if (bytes[at] !== 0x49 || bytes[at + 1] !== 0x44 || bytes[at + 2] !== 0x33) return null // "ID3"
  const version = bytes[at + 3] as number
  const flags = bytes[at + 5] as number
  const size = syncSafe(bytes, at + 6)
  if ((version !== 3 && version !== 4) || size === null || at + 10 + size > bytes.length) return null
  if (flags & 0x80) return null // unsynchronised: nobody writes that into MP4
  let body = bytes.subarray(at + 10, at + 10 + size)
  if (flags & 0x40) {
    // An extended header; only v2.4 counts its own size field in.
    const extended = version === 4 ? syncSafe(body, 0) : size32(body, 0)
    const skipped = extended === null ? Infinity : version === 4 ? extended : extended + 4
    if (skipped < 4 || skipped > body.length) return null
    body = body.subarray(skipped)
  }
  const footer = version === 4 && flags & 0x10 ? 10 : 0
  return { version, body, end: at + 10 + size + footer }
}

function readFrames({ version, body }: Tag, found: Text[]): void {
  let at = 0
  while (at + 10 <= body.length && found.length < mostFrames) {
    const size = version === 4 ? syncSafe(body, at + 4) : size32(body, at + 4)
    if (size === null || size === 0 || at + 10 + size > body.length) return // padding, or broken
    const id = String.fromCharCode(...body.subarray(at, at + 4))
    // Compressed, encrypted, grouped: not for plain text.
    const plain = body[at + 9] === 0
    if (id === 'TXXX' && plain) {
      const text = readText(body.subarray(at + 10, at + 10 + size))
      if (text) found.push(text)
    }
    at += 10 + size
  }
}

const encodings = ['windows-1252', 'utf-16', 'utf-16be', 'utf-8'] as const

function readText(frame: Uint8Array): Text | null {
  const encoding = encodings[frame[0] as number]
  if (!encoding) return null
  const wide = frame[0] === 1 || frame[0] === 2
  const content = frame.subarray(1)
  const split = terminator(content, wide)
  if (split < 0) return null
  const end = split + (wide ? 2 : 1)
  try {
    return { description: decode(content.subarray(0, split), encoding), value: decode(content.subarray(end), encoding).replace(/\0+$/, '') }
  } catch {
    return null
  }
}

function terminator(bytes: Uint8Array, wide: boolean): number {
  if (!wide) return bytes.indexOf(0)
  for (let i = 0; i + 1 < bytes.length; i += 2) if (bytes[i] === 0 && bytes[i + 1] === 0) return i
  return -1
}

function decode(bytes: Uint8Array, encoding: (typeof encodings)[number]): string {
  if (encoding === 'utf-16' && bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be', { fatal: true }).decode(bytes)
  return new TextDecoder(encoding, { fatal: true }).decode(bytes)
}

/** Four bytes of seven bits; null when one has its eighth set. */
function syncSafe(bytes: Uint8Array, at: number): number | null {
  if (at + 4 > bytes.length) return null
  let value = 0
  for (let i = at; i < at + 4; i++) {
    const byte = bytes[i] as number
    if (byte > 0x7f) return null
    value = value * 128 + byte
  }
  return value
}

function size32(bytes: Uint8Array, at: number): number | null {
  if (at + 4 > bytes.length) return null
  return new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0)
}
