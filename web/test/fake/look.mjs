// Takes screenshots of every page, on a phone and on a desktop, dark and light,
// and checks each with axe.
// Usage: node test/fake/look.mjs [--quick] [name-part …]
// With --quick: the dark desktop and the light phone only.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium } from 'playwright-core'
import { fake } from './server.mjs'
import * as worlds from './world.mjs'

const root = new URL('../..', import.meta.url).pathname
const out = join(root, 'test-results')
mkdirSync(out, { recursive: true })
const mediaDir = join(out, 'media')
if (!existsSync(mediaDir)) media(mediaDir)

const shots = [
  ['home', 'full', '/'], ['home-out', 'signedOut', '/'], ['home-empty', 'empty', '/'], ['home-quiet', 'quiet', '/'], ['home-broken', 'broken', '/'],
  ['live', 'full', '/live/01a'], ['live-off', 'full', '/live/01c'],
  ['watch', 'full', '/watch/st-0'], ['watch-missing', 'full', '/watch/none'],
  ['broadcast-out', 'signedOut', '/broadcast'], ['broadcast-ask', 'full', '/broadcast'], ['broadcast-preview', 'full', '/broadcast', 'camera'],
  ['signin', 'signedOut', '/signin'], ['signup', 'signedOut', '/signup'], ['confirm', 'signedOut', '/confirm?token=x'], ['setup', 'empty', '/setup?token=x'],
  ['my-videos', 'full', '/my/videos'], ['my-videos-empty', 'quiet', '/my/videos'], ['my-video', 'full', '/my/videos/st-m1'],
  ['my-channel', 'full', '/my/channel'], ['admin', 'full', '/admin'], ['not-found', 'full', '/nowhere'], ['menu', 'full', '/', 'menu'], ['story', 'full', '/watch/st-0', 'story'],
]
const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } }
const quick = process.argv.includes('--quick')
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'))

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
})
let bad = 0
for (const [name, world, path, action] of shots) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue
  const server = fake(worlds[world], { dist: join(root, 'dist'), mediaDir })
  const base = await server.start()
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const scheme of ['dark', 'light']) {
      if (quick && (size === 'phone') !== (scheme === 'light')) continue
      const context = await browser.newContext({ viewport, colorScheme: scheme, reducedMotion: 'reduce', deviceScaleFactor: 1, hasTouch: size === 'phone', permissions: action === 'camera' ? ['camera', 'microphone'] : [] })
      const page = await context.newPage()
      const errors = []
      page.on('console', (m) => m.type() === 'error' && !/404|503|WebSocket/.test(m.text()) && errors.push(m.text()))
      page.on('pageerror', (e) => errors.push(String(e)))
      await page.goto(base + path)
      await page.waitForSelector('main h1, main h2')
      await page.waitForFunction(() => !document.querySelector('main .skeleton'))
      if (action === 'menu') await page.click('.face')
      if (action === 'story') {
        await page.click('.story > button')
        await page.waitForSelector('.timeline')
      }
      if (action === 'camera') {
        await page.waitForFunction(() => document.querySelector('video')?.videoWidth > 0)
      }
      await page.waitForTimeout(path.startsWith('/watch/st') || path.startsWith('/live/01a') ? 1800 : 350)
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      if (width > viewport.width) errors.push(`page is ${width} px wide, the screen ${viewport.width}`)
      const axe = await new AxeBuilder({ page }).analyze()
      for (const v of axe.violations) errors.push(`axe ${v.id}: ${v.help} @ ${v.nodes.map((n) => n.target.join(' ')).slice(0, 4).join(' | ')}`)
      await page.screenshot({ path: join(out, `${name}-${size}-${scheme}.png`), fullPage: size === 'phone' ? !action : true })
      if (errors.length > 0) {
        bad++
        console.log(`${name} ${size} ${scheme}:`, ...errors.map((e) => '\n   ' + e))
      }
      await context.close()
    }
  }
  server.stop()
}
await browser.close()
console.log(bad === 0 ? 'all clean' : `${bad} with findings`)
process.exit(bad === 0 ? 0 : 1)

function media(dir) {
  mkdirSync(dir, { recursive: true })
  const run = (...args) => execFileSync('ffmpeg', ['-v', 'error', '-y', ...args])
  const sources = ['mandelbrot=size=1280x720', 'gradients=size=1280x720:c0=0xff7e5f:c1=0x2b1055:n=2:seed=3', 'gradients=size=1280x720:c0=0x11998e:c1=0x0b3d91:n=3:seed=9', 'life=size=1280x720:mold=10:ratio=0.1:death_color=#222244:life_color=#88aaff']
  sources.forEach((source, i) => run('-f', 'lavfi', '-i', source, '-frames:v', '1', join(dir, `thumb${i}.jpg`)))
  run('-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30', '-f', 'lavfi', '-i', 'sine=440', '-t', '6', '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '30', '-c:a', 'aac', '-movflags', '+faststart', join(dir, 'vod.mp4'))
  const vod = join(dir, 'vod')
  if (!existsSync(vod)) mkdirSync(vod)
  run('-i', join(dir, 'vod.mp4'), '-c', 'copy', '-f', 'hls', '-hls_time', '2', '-hls_playlist_type', 'vod', '-hls_segment_type', 'fmp4', '-master_pl_name', 'master.m3u8', join(vod, 'v.m3u8'))
}
