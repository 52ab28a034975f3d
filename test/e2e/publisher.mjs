// Publishers that are no browsers: whippub, our own for WHIP, and ffmpeg for RTMP.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const repository = new URL('../..', import.meta.url).pathname

/** Builds whippub, and returns what starts publishers of a server's channels. */
export function publishers(server) {
  const dir = mkdtempSync(join(tmpdir(), 'whippub-'))
  const whippub = join(dir, 'whippub')
  execFileSync('go', ['build', '-o', whippub, './test/whippub'], { cwd: repository })
  const running = new Set()

  function run(command, args) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk) => (said += chunk))
    running.add(child)
    const ended = new Promise((done) => child.on('exit', done))
    void ended.then(() => running.delete(child))
    return {
      said: () => said,
      /** Ends it as Ctrl-C does. */
      stop() {
        child.kill('SIGINT')
        return ended
      },
      ended,
      /** Resolves with Unix milliseconds: when it began its request. */
      since: () =>
        new Promise((done, failed) => {
          const look = () => {
            const at = said.match(/publishing since (\S+);/)
            if (at) done(Date.parse(at[1]))
          }
          look()
          child.stdout.on('data', look)
          void ended.then(() => failed(new Error(`the publisher ended: ${said}`)))
        }),
    }
  }

  return {
    whip: ({ id, streamKey }, ...flags) => run(whippub, ['-url', `${server.url}/whip/${id}`, '-key', streamKey, ...flags]),
    /** H264 with B-frames, and AAC. */
    rtmp: ({ streamKey }) =>
      run('ffmpeg', [
        ...['-hide_banner', '-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'],
        ...['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '2', '-g', '30', '-pix_fmt', 'yuv420p', '-b:v', '800k', '-c:a', 'aac', '-ac', '2'],
        ...['-f', 'flv', `${server.rtmp}/${streamKey}`],
      ]),
    async close() {
      for (const child of running) child.kill('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
