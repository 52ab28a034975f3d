// Chromium with a camera and a microphone that are not real.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const results = new URL('../../test-results/e2e/', import.meta.url).pathname

export function startBrowser() {
  const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
  if (!executablePath) throw new Error('no Chromium was found: install the package chromium, or set CHROMIUM to its path')
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
      // Pages in the background are watched too.
      '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
    ],
  })
}

/** A page that keeps its errors, its loads and screenshots. */
export async function openPage(context, name) {
  const page = await context.newPage()
  page.setDefaultTimeout(45_000)
  const errors = []
  let loads = 0
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    // The browser logs answers over 399 itself; those are looked at where they matter.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) errors.push(message.text())
  })
  page.on('load', () => loads++)
  const streams = new Set()
  page.on('websocket', (socket) => socket.on('framereceived', () => streams.add(new URL(socket.url()).pathname)))
  page.on('response', (response) => response.headers()['content-type']?.startsWith('text/event-stream') && streams.add(new URL(response.url()).pathname))
  mkdirSync(results, { recursive: true })
  const shoot = (what) => page.screenshot({ path: join(results, `${name}-${what}.png`) })
  return {
    page,
    errors,
    loads: () => loads,
    /** Over which paths the server pushes to the page. */
    streams: () => [...streams],
    shoot,
    /** The same on a phone's width too. */
    async shootBoth(what) {
      await shoot(what)
      const size = page.viewportSize()
      await page.setViewportSize({ width: 390, height: 844 })
      await shoot(`${what}-390`)
      await page.setViewportSize(size)
    },
  }
}
