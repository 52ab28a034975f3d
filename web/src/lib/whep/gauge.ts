// Reads WebRTC statistics (W3C webrtc-stats) of a session that receives.

/** Seconds between the epochs of NTP (1900) and Unix (1970). */
const ntpToUnix = 2_208_988_800

export interface Reading {
  /** Pictures that arrived, and those that could be decoded, since the start. */
  received: number
  decoded: number
  /** Seconds from the server to the screen; null until it can be told. */
  latency: number | null
}

type Entry = Record<string, unknown> & { type: string }

const number = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null)

/**
 * Follows the delay of a session over its readings.
 *
 * Best is estimatedPlayoutTimestamp: when the server sent what plays now, by
 * the server's clock; sender reports tell how that differs from ours. Without
 * it, the time in the jitter buffer and half a round trip come close.
 */
export class Gauge {
  #delay = 0
  #emitted = 0

  read(report: { forEach(each: (entry: unknown) => void): void }, nowMs: number): Reading {
    const entries: Entry[] = []
    report.forEach((entry) => entries.push(entry as Entry))
    const video = entries.find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'video')
    const sender = entries.find((entry) => entry.type === 'remote-outbound-rtp' && entry.kind === 'video')
    const pair = entries.find((entry) => entry.type === 'candidate-pair' && entry.nominated === true && entry.state === 'succeeded')
    const roundTrip = number(pair?.currentRoundTripTime) ?? 0
    return {
      received: number(video?.framesReceived) ?? 0,
      decoded: number(video?.framesDecoded) ?? 0,
      latency: video ? (byPlayout(video, sender, roundTrip, nowMs) ?? this.#byBuffer(video, roundTrip)) : null,
    }
  }

  #byBuffer(video: Entry, roundTrip: number): number | null {
    const delay = number(video.jitterBufferDelay)
    const emitted = number(video.jitterBufferEmittedCount)
    if (delay === null || emitted === null || emitted <= this.#emitted) return null
    const mean = (delay - this.#delay) / (emitted - this.#emitted)
    this.#delay = delay
    this.#emitted = emitted
    return plausible(mean + roundTrip / 2)
  }
}

function byPlayout(video: Entry, sender: Entry | undefined, roundTrip: number, nowMs: number): number | null {
  const played = number(video.estimatedPlayoutTimestamp)
  const sent = number(sender?.remoteTimestamp)
  const arrived = number(sender?.timestamp)
  if (played === null || played === 0 || sent === null || arrived === null) return null
  // How far the server's clock is ahead of this one, in milliseconds.
  const ahead = unix(sent) + (roundTrip / 2) * 1000 - arrived
  return plausible((nowMs + ahead - unix(played)) / 1000)
}

/** Milliseconds since 1970 of a time that may count from 1900, as browsers differ. */
function unix(ms: number): number {
  return ms > ntpToUnix * 1000 ? ms - ntpToUnix * 1000 : ms
}

/** An estimate outside of this says that a clock is wrong, not that the picture is. */
function plausible(seconds: number): number | null {
  return seconds >= 0 && seconds < 30 ? seconds : null
}
