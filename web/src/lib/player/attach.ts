// Brings an HLS playlist or an MP4 to a <video>.

export interface Attached {
  /** Seconds behind the live edge, null when that is not known. */
  latency(): number | null
  /** Jumps to the live edge. */
  toLive(): void
  detach(): void
}

export interface Wanted {
  /** HLS playlist. */
  source: string
  live: boolean
  /** Nothing to play (any more), for the page to decide what that means. */
  failed(reason: 'missing' | 'network' | 'media'): void
}

/** Whether hls.js can work here at all; decided before its 500 kB are fetched. */
function hasMediaSource(): boolean {
  return 'MediaSource' in globalThis || 'ManagedMediaSource' in globalThis
}

export async function attach(video: HTMLVideoElement, wanted: Wanted): Promise<Attached> {
  // Chromium plays HLS natively too now, but not in low-latency mode: hls.js
  // comes first wherever it can run.
  if (hasMediaSource()) {
    const { withHls } = await import('./hls')
    const attached = withHls(video, wanted)
    if (attached) return attached
  }
  return native(video, wanted)
}

function native(video: HTMLVideoElement, wanted: Wanted): Attached {
  if (!video.canPlayType('application/vnd.apple.mpegurl')) {
    wanted.failed('media')
    return { latency: () => null, toLive() {}, detach() {} }
  }
  const failed = () => {
    wanted.failed(video.error?.code === MediaError.MEDIA_ERR_NETWORK ? 'network' : 'missing')
  }
  video.addEventListener('error', failed)
  // Apple's own player wants AAC; the server offers it under this address.
  video.src = wanted.live ? wanted.source + (wanted.source.includes('?') ? '&' : '?') + 'audio=aac' : wanted.source
  const edge = () => (video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : null)
  return {
    latency() {
      const at = edge()
      return wanted.live && at !== null ? Math.max(0, at - video.currentTime) : null
    },
    toLive() {
      const at = edge()
      if (at !== null) video.currentTime = at
    },
    detach() {
      video.removeEventListener('error', failed)
      video.removeAttribute('src')
      video.load()
    },
  }
}
