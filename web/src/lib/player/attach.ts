// Brings a source to a <video>.

/** A moment of a broadcast: by the broadcast's clock when it is known (Unix milliseconds), else by its distance to the live edge (seconds). */
export interface Moment {
  date?: number
  behind: number
}

export type Source =
  /** A recording, from a second of it on. */
  | { kind: 'vod'; url: string; from?: number }
  /** The live edge by low-latency HLS. */
  | { kind: 'live'; url: string }
  /** A broadcast that still lasts, from its start. */
  | { kind: 'dvr'; url: string; at: Moment }
  /** The live edge by WebRTC. */
  | { kind: 'webrtc'; url: string }

/**
 * missing: nothing is there (any more). network: it was lost on the way.
 * media: this browser cannot play it. unfit: it can be had in another way only.
 */
export type Failure = 'missing' | 'network' | 'media' | 'unfit'

export interface Level {
  id: number
  height: number
}

export interface Attached {
  /** Seconds behind the live edge, null when that is not known. */
  latency(): number | null
  /** When the picture on the screen, and the newest one that is known, came in (Unix milliseconds of the server); null when not known. */
  date(): number | null
  edge(): number | null
  /** Where the picture is on the source's own timeline, in seconds. */
  time(): number
  /** Jumps to the live edge. */
  toLive(): void
  /** Jumps to a moment of a broadcast; only within what this source has. */
  seek(at: Moment): void
  /** The qualities there are, highest first, the chosen one (-1: as the line allows) and the height that plays. */
  levels(): Level[]
  level(): number
  height(): number
  choose(level: number): void
  detach(): void
}

export interface Wanted {
  source: Source
  /** Whether it is still wanted: while it was on its way, another source may have come. */
  current(): boolean
  /** Nothing to play (any more), for the page to decide what that means; text is for people. */
  failed(reason: Failure, text?: string): void
  /** Timed metadata of a recording: an ID3 tag, and its time in seconds. */
  metadata?(at: number, tag: Uint8Array): void
}

/** Whether hls.js can work here at all; decided before its 500 kB are fetched. */
function hasMediaSource(): boolean {
  return 'MediaSource' in globalThis || 'ManagedMediaSource' in globalThis
}

/** Fetches what will play before there is anything to play. */
export function prepare(): void {
  // What cannot be fetched now is fetched again when it is needed.
  if (hasMediaSource()) void import('./hls').catch(() => {})
}

/** Resolves with null when it is not wanted any more; the video is then another source's. */
export async function attach(video: HTMLVideoElement, wanted: Wanted): Promise<Attached | null> {
  if (wanted.source.kind === 'webrtc') {
    const { withWhep } = await import('./webrtc')
    return withWhep(video, wanted)
  }
  // Chromium plays HLS natively too now, but not in low-latency mode: hls.js
  // comes first wherever it can run.
  if (hasMediaSource()) {
    const [{ withHls }, from] = await Promise.all([import('./hls'), startOf(wanted)])
    if (!wanted.current()) return null
    const attached = withHls(video, wanted, from)
    if (attached) return attached
  }
  const { natively } = await import('./native')
  if (!wanted.current()) return null
  return natively(video, wanted)
}

/** The second to begin at; undefined where the source has its own. */
async function startOf({ source, failed }: Wanted): Promise<number | undefined> {
  if (source.kind === 'vod') return source.from
  if (source.kind !== 'dvr') return undefined
  const { placeOf } = await import('./dvr')
  return placeOf(source.url, source.at).catch(() => {
    failed('missing')
    return 0
  })
}
