// A broadcast that lasts: playlists of the segments that "have been sent" by
// now. Plain HLS without parts; the real program is driven by test/e2e.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Seconds that each segment lasts, as media.mjs makes them, and how many a live playlist shows. */
const length = 2
const shown = 6

/** Answers a path under /live/{channel}/; undefined when it is none of the broadcast's. */
export function liveFile(path, mediaDir, since) {
  const name = path.split('/').at(-1)
  const dir = join(mediaDir, 'live')
  if (name === 'master.m3u8' || name === 'dvr.m3u8') return playlist(master(name === 'dvr.m3u8' ? 'event' : 'edge'))
  const [, kind] = /^(edge|event)-\d+\.m3u8$/.exec(name) ?? []
  if (kind) return playlist(mediaPlaylist(kind, Math.floor((Date.now() - since) / 1000 / length), since))
  const file = join(dir, name)
  return /^(init\.mp4|\d+\.m4s)$/.test(name) && existsSync(file) ? { type: 'video/mp4', body: readFileSync(file) } : undefined
}

function playlist(lines) {
  return { type: 'application/vnd.apple.mpegurl', body: lines.join('\n') + '\n' }
}

function master(kind) {
  const level = (height, width, bandwidth) => [`#EXT-X-STREAM-INF:BANDWIDTH=${bandwidth},RESOLUTION=${width}x${height},CODECS="avc1.42c01e,mp4a.40.2",FRAME-RATE=15`, `media/${kind}-${height}.m3u8`]
  return ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS', ...level(720, 1280, 900_000), ...level(480, 854, 700_000), ...level(360, 640, 500_000)]
}

function mediaPlaylist(kind, sent, since) {
  const first = kind === 'event' ? 0 : Math.max(0, sent - shown)
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', `#EXT-X-TARGETDURATION:${length}`, `#EXT-X-MEDIA-SEQUENCE:${first}`]
  if (kind === 'event') lines.push('#EXT-X-PLAYLIST-TYPE:EVENT')
  lines.push('#EXT-X-MAP:URI="init.mp4"')
  for (let n = first; n < sent; n++) {
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(since + n * length * 1000).toISOString()}`, `#EXTINF:${length}.0,`, `${n}.m4s`)
  }
  return lines
}
