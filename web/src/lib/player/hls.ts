// hls.js, in a chunk of its own that is fetched only where a video plays.

import Hls, { ErrorDetails, ErrorTypes, Events, type HlsConfig } from 'hls.js'
import workerPath from 'hls.js/dist/hls.worker.js?url'
import type { Attached, Wanted } from './attach'

/** Media errors that are repaired before the player gives up. */
const repairs = 3

export function withHls(video: HTMLVideoElement, wanted: Wanted): Attached | null {
  if (!Hls.isSupported()) return null
  const config: Partial<HlsConfig> = {
    // A worker from a file of ours, so that no blob: script is needed (CSP).
    workerPath,
    lowLatencyMode: wanted.live,
    backBufferLength: wanted.live ? 30 : 90,
    ...(wanted.live
      ? {
          audioPreference: { audioCodec: 'opus' },
          maxLiveSyncPlaybackRate: 1.1,
          liveSyncOnStallIncrease: 0.3,
        }
      : {}),
  }
  const hls = new Hls(config)
  let repaired = 0
  hls.on(Events.ERROR, (_event, data) => {
    if (!data.fatal) return
    if (data.type === ErrorTypes.MEDIA_ERROR && repaired < repairs) {
      repaired++
      hls.recoverMediaError()
      return
    }
    if (data.type === ErrorTypes.NETWORK_ERROR) {
      const gone = data.response?.code === 404 || data.response?.code === 410
      const first = data.details === ErrorDetails.MANIFEST_LOAD_ERROR || data.details === ErrorDetails.MANIFEST_LOAD_TIMEOUT
      wanted.failed(gone || first ? 'missing' : 'network')
      return
    }
    wanted.failed('media')
  })
  hls.loadSource(wanted.source)
  hls.attachMedia(video)
  return {
    latency: () => (wanted.live && hls.latency > 0 ? hls.latency : null),
    toLive() {
      const at = hls.liveSyncPosition
      if (at !== null && Number.isFinite(at)) video.currentTime = at
    },
    detach: () => hls.destroy(),
  }
}
