// hls.js, in a chunk of its own that is fetched only where a video plays.

import Hls, { ErrorDetails, ErrorTypes, Events, type ErrorData, type HlsConfig, type LoadPolicy } from 'hls.js'
import workerPath from 'hls.js/dist/hls.worker.js?url'
import type { Attached, Failure, Level, Moment, Wanted } from './attach'
import { dateOf, timeOf } from './clock'

/** Media errors in a row that are repaired, and network errors that are tried again, before the player gives up. */
const repairs = 3
/** Milliseconds of playing after which earlier repairs do not count any more. */
const healed = 30_000

/** The server holds a playlist for at most three target durations (12 s), longer while the broadcaster is away: then it says 503. */
const patiently: LoadPolicy = {
  default: {
    maxTimeToFirstByteMs: 15_000,
    maxLoadTimeMs: 20_000,
    timeoutRetry: { maxNumRetry: 6, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: 40, retryDelayMs: 500, maxRetryDelayMs: 2_000 },
  },
}

function configFor(kind: Wanted['source']['kind']): Partial<HlsConfig> {
  const base: Partial<HlsConfig> = {
    // A worker from a file of ours, so that no blob: script is needed (CSP).
    workerPath,
    // Nobody sees more pixels than the player has.
    capLevelToPlayerSize: true,
    // Reactions are drawn by the page; cues would show as a subtitle track.
    enableEmsgMetadataCues: false,
    enableID3MetadataCues: false,
    lowLatencyMode: kind === 'live',
    backBufferLength: kind === 'live' ? 20 : 60,
    maxBufferSize: 40_000_000,
  }
  if (kind === 'vod') return base
  return {
    ...base,
    playlistLoadPolicy: patiently,
    // Sound as it was sent where the browser plays it in MP4, else AAC.
    ...(playsOpus() ? { audioPreference: { audioCodec: 'opus' } } : {}),
    ...(kind === 'live'
      ? {
          // liveSyncDuration stays unset: hls.js then keeps to the playlist's
          // PART-HOLD-BACK, and moves away from it with each stall only.
          liveSyncOnStallIncrease: 0.3,
          maxLiveSyncPlaybackRate: 1.08,
        }
      : {}),
  }
}

function playsOpus(): boolean {
  const source = globalThis.MediaSource ?? (globalThis as { ManagedMediaSource?: typeof MediaSource }).ManagedMediaSource
  return source?.isTypeSupported('audio/mp4; codecs="opus"') ?? false
}

/**
 * Leaves Opus alone where the browser plays it. When hls.js hurries to a lower
 * quality, it looks at the bitrate only: it would change to the levels with AAC
 * in the middle, and back again, and never get out of that.
 */
function keepToOpus(hls: Hls): void {
  if (!playsOpus() || !hls.levels.some(hasOpus)) return
  for (let i = hls.levels.length - 1; i >= 0; i--) {
    const level = hls.levels[i]
    if (level && !hasOpus(level)) hls.removeLevel(i)
  }
}

function hasOpus({ audioCodec }: { audioCodec?: string }): boolean {
  return audioCodec?.toLowerCase() === 'opus'
}

/** Begins at a second of the source, where one is given. */
export function withHls(video: HTMLVideoElement, wanted: Wanted, from?: number): Attached | null {
  if (!Hls.isSupported()) return null
  const { source } = wanted
  const hls = new Hls({ ...configFor(source.kind), ...(from === undefined ? {} : { startPosition: from }) })
  hls.on(Events.MANIFEST_PARSED, () => keepToOpus(hls))
  hls.on(Events.ERROR, mender(hls, (reason) => wanted.failed(reason)))
  if (source.kind === 'vod' && wanted.metadata) {
    hls.on(Events.FRAG_PARSING_METADATA, (_event, { samples }) => {
      for (const sample of samples) wanted.metadata?.(sample.pts, sample.data)
    })
  }
  hls.loadSource(source.url)
  hls.attachMedia(video)
  return attachedTo(hls, video, source.kind)
}

function attachedTo(hls: Hls, video: HTMLVideoElement, kind: Wanted['source']['kind']): Attached {
  const pieces = () => hls.latestLevelDetails?.fragments ?? []
  return {
    latency: () => (kind === 'live' && hls.latency > 0 ? hls.latency : null),
    date: () => hls.playingDate?.getTime() ?? dateOf(pieces(), video.currentTime),
    edge: () => dateOf(pieces(), hls.latestLevelDetails?.edge ?? 0),
    time: () => video.currentTime,
    toLive() {
      const at = hls.liveSyncPosition
      if (at !== null && Number.isFinite(at)) video.currentTime = at
    },
    seek(at: Moment) {
      if (pieces().length > 0) video.currentTime = timeOf(pieces(), at)
    },
    levels: () => levelsOf(hls),
    level: () => (hls.autoLevelEnabled ? -1 : hls.manualLevel),
    height: () => hls.levels[hls.currentLevel]?.height ?? 0,
    choose: (level) => (hls.nextLevel = level),
    detach: () => hls.destroy(),
  }
}

/** The levels of the codec set that plays: hls.js never changes to another set. */
function levelsOf(hls: Hls): Level[] {
  const set = hls.levels[hls.currentLevel >= 0 ? hls.currentLevel : hls.loadLevel]?.codecSet
  const byHeight = new Map<number, Level>()
  hls.levels.forEach((level, id) => {
    if (level.height > 0 && (set === undefined || level.codecSet === set)) byHeight.set(level.height, { id, height: level.height })
  })
  return [...byHeight.values()].sort((a, b) => b.height - a.height)
}

/** Repairs what can be repaired; the rest is said, once. */
function mender(hls: Hls, failed: (reason: Failure) => void): (event: unknown, data: ErrorData) => void {
  let repaired = 0
  let last = 0
  const mayRepair = () => {
    const now = Date.now()
    if (now - last > healed) repaired = 0
    last = now
    return repaired++ < repairs
  }
  return (_event, data) => {
    if (!data.fatal) return
    if (data.type === ErrorTypes.MEDIA_ERROR && mayRepair()) {
      hls.recoverMediaError()
      return
    }
    if (data.type !== ErrorTypes.NETWORK_ERROR) return failed('media')
    const gone = data.response?.code === 404 || data.response?.code === 410
    const first = data.details === ErrorDetails.MANIFEST_LOAD_ERROR || data.details === ErrorDetails.MANIFEST_LOAD_TIMEOUT
    if (gone || first) return failed('missing')
    // What is in the buffer plays on meanwhile.
    if (mayRepair()) hls.startLoad()
    else failed('network')
  }
}
