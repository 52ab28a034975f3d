// Makes the media that the fake world shows, with ffmpeg.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export function media(dir) {
  mkdirSync(join(dir, 'vod'), { recursive: true })
  mkdirSync(join(dir, 'live'), { recursive: true })
  const run = (...args) => execFileSync('ffmpeg', ['-v', 'error', '-y', ...args])
  const sources = ['mandelbrot=size=1280x720', 'gradients=size=1280x720:c0=0xff7e5f:c1=0x2b1055:n=2:seed=3', 'gradients=size=1280x720:c0=0x11998e:c1=0x0b3d91:n=3:seed=9', 'life=size=1280x720:mold=10:ratio=0.1:death_color=#222244:life_color=#88aaff']
  sources.forEach((source, i) => run('-f', 'lavfi', '-i', source, '-frames:v', '1', join(dir, `thumb${i}.jpg`)))
  const sound = ['-f', 'lavfi', '-i', 'sine=440']
  const code = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '30', '-c:a', 'aac']
  run('-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30', ...sound, '-t', '6', ...code, '-movflags', '+faststart', join(dir, 'vod.mp4'))
  const hls = ['-f', 'hls', '-hls_time', '2', '-hls_playlist_type', 'vod', '-hls_segment_type', 'fmp4']
  run('-i', join(dir, 'vod.mp4'), '-c', 'copy', ...hls, '-master_pl_name', 'master.m3u8', join(dir, 'vod', 'v.m3u8'))
  react(join(dir, 'vod'))
  storyboard(run, dir)
  run('-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=15', ...sound, '-t', '240', ...code, ...hls, '-hls_fmp4_init_filename', 'init.mp4', '-hls_segment_filename', join(dir, 'live', '%d.m4s'), join(dir, 'live', 'v.m3u8'))
}

/** Previews of the recording, one a second, as post-processing makes them. */
function storyboard(run, dir) {
  run('-i', join(dir, 'vod.mp4'), '-vf', 'fps=1,scale=256:144,tile=5x2', '-frames:v', '1', join(dir, 'vod', 'storyboard-1.jpg'))
  const cues = [0, 1, 2, 3, 4, 5].map((s) => `00:00:0${s}.000 --> 00:00:0${s + 1}.000\nstoryboard-1.jpg#xywh=${(s % 5) * 256},${Math.floor(s / 5) * 144},256,144\n`)
  writeFileSync(join(dir, 'vod', 'storyboard.vtt'), ['WEBVTT\n', ...cues].join('\n'))
}

/** Puts a reaction into the segments every 0.4 s, as recordings carry them. */
function react(dir) {
  const emoji = ['❤️', '👏', '🎉', '🔥']
  for (const name of readdirSync(dir).filter((file) => file.endsWith('.m4s'))) {
    const n = Number(/(\d+)\.m4s$/.exec(name)?.[1])
    const boxes = [0.2, 0.6, 1, 1.4, 1.8].map((at, i) => emsg(n * 2 + at, { type: emoji[(n + i) % 4], x: (i * 0.23 + 0.1) % 1, y: 0.6, userId: 'fan', count: i === 2 ? 5 : undefined }))
    const path = join(dir, name)
    writeFileSync(path, Buffer.concat([...boxes, readFileSync(path)]))
  }
}

/** An event message box of version 1 (ISO 23009-1, 5.10.3.3) with an ID3v2.4 tag. */
function emsg(seconds, reaction) {
  const text = Buffer.concat([Buffer.from([3]), Buffer.from(`serverlessvideo.reaction\0${JSON.stringify(reaction)}`)])
  const frame = Buffer.concat([Buffer.from('TXXX'), syncSafe(text.length), Buffer.from([0, 0]), text])
  const tag = Buffer.concat([Buffer.from([0x49, 0x44, 0x33, 4, 0, 0]), syncSafe(frame.length), frame])
  const head = Buffer.alloc(24)
  head.writeUInt8(1, 0)
  head.writeUInt32BE(1000, 4)
  head.writeBigUInt64BE(BigInt(Math.round(seconds * 1000)), 8)
  head.writeUInt32BE(0xffffffff, 16)
  const body = Buffer.concat([head, Buffer.from('https://aomedia.org/emsg/ID3\0\0'), tag])
  const box = Buffer.alloc(8)
  box.writeUInt32BE(body.length + 8, 0)
  box.write('emsg', 4)
  return Buffer.concat([box, body])
}

function syncSafe(n) {
  return Buffer.from([(n >> 21) & 127, (n >> 14) & 127, (n >> 7) & 127, n & 127])
}
