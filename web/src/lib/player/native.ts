// HLS by the browser itself: iPhones, which have no Media Source Extensions.

import type { Attached, Moment, Wanted } from './attach'

/** Safari tells what time currentTime 0 is. */
type Dated = HTMLVideoElement & { getStartDate?: () => Date }

export function natively(video: HTMLVideoElement, { source, failed }: Wanted): Attached {
  const edge = () => (video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : null)
  const zero = () => {
    const at = (video as Dated).getStartDate?.().getTime()
    return at !== undefined && Number.isFinite(at) ? at : null
  }
  const dated = (seconds: number | null) => {
    const start = zero()
    return start === null || seconds === null ? null : start + seconds * 1000
  }
  const toLive = () => {
    const at = edge()
    if (at !== null) video.currentTime = at
  }
  const seek = (at: Moment) => {
    const start = zero()
    const end = edge()
    if (at.date !== undefined && start !== null) video.currentTime = Math.max(0, (at.date - start) / 1000)
    else if (end !== null) video.currentTime = Math.max(0, end - at.behind)
  }
  const broke = () => failed(video.error?.code === MediaError.MEDIA_ERR_NETWORK ? 'network' : 'missing')
  const placed = () => {
    if (source.kind === 'dvr') seek(source.at)
    if (source.kind === 'vod' && source.from) video.currentTime = source.from
  }
  const attached: Attached = {
    latency() {
      const at = edge()
      return source.kind !== 'vod' && at !== null ? Math.max(0, at - video.currentTime) : null
    },
    date: () => dated(video.currentTime),
    edge: () => dated(edge()),
    time: () => video.currentTime,
    toLive,
    seek,
    levels: () => [],
    level: () => -1,
    height: () => video.videoHeight,
    choose() {},
    detach() {
      video.removeEventListener('error', broke)
      video.removeEventListener('loadedmetadata', placed)
      video.removeAttribute('src')
      video.load()
    },
  }
  if (!video.canPlayType('application/vnd.apple.mpegurl')) {
    failed('media')
    return attached
  }
  video.addEventListener('error', broke)
  video.addEventListener('loadedmetadata', placed)
  // Apple's own player wants AAC; the server offers it under this address.
  video.src = source.kind === 'vod' ? source.url : source.url + (source.url.includes('?') ? '&' : '?') + 'audio=aac'
  return attached
}
