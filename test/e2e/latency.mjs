// Measures how old the pictures are that viewers see, from the canvas that is
// broadcast to the screen: npm run latency. The picture carries a clock.
import { openPage, startBrowser } from './browser.mjs'
import { carryClock, readClock } from './clock.mjs'
import { startServer } from './server.mjs'
import { chooseDelay, goLive, playing, signIn } from './steps.mjs'

/** Seconds of playing before it counts, and that count. */
const settling = 8
const counting = 20
const person = { email: 'nora@example.com', password: 'a sentence to remember' }

const server = await startServer()
const browser = await startBrowser()
try {
  const { channel } = server.addUser(person.email, person.password, 'broadcaster')
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ['camera', 'microphone'] })
  const studio = await openPage(context, 'latency-studio')
  await carryClock(studio.page)
  await signIn(studio, server.url, person, '/broadcast')
  await goLive(studio)

  const viewer = await openPage(context, 'latency-viewer')
  await viewer.page.goto(`${server.url}/live/${channel.id}`)
  for (const [way, title] of [['hls', 'Low latency (HLS)'], ['webrtc', 'Ultra low latency (WebRTC)']]) {
    await chooseDelay(viewer, title)
    await playing(viewer, way)
    await viewer.page.waitForTimeout(settling * 1000)
    const ages = await readClock(viewer.page, counting)
    const shown = await viewer.page.locator('.edge .lag').evaluate((lag) => lag.firstChild.textContent.trim())
    await viewer.shoot(way)
    const at = (share) => (ages[Math.floor((ages.length - 1) * share)] / 1000).toFixed(2)
    console.log(`${title}: p50 ${at(0.5)} s, p95 ${at(0.95)} s, least ${at(0)} s, most ${at(1)} s (${ages.length} pictures); the player says ${shown}`)
  }
} finally {
  await browser.close()
  await server.stop()
  server.remove()
}
