// Measures what a viewer in Chromium waits for: npm run latency. Which parts of
// it: npm run latency -- first, or ages.
import { openPage, startBrowser } from './browser.mjs'
import { carryClock, readClock } from './clock.mjs'
import { after, median, noteFirstFrame, waterfall } from './firstframe.mjs'
import { publishers } from './publisher.mjs'
import { startServer } from './server.mjs'
import { chooseDelay, goLive, playing, signIn, stopBroadcast } from './steps.mjs'

/** Seconds of playing before it counts, and that count. */
const settling = 8
const counting = 20
/** Runs of which the median counts. */
const runs = 3
const person = { email: 'nora@example.com', password: 'a sentence to remember' }
const viewport = { width: 1280, height: 800 }

const server = await startServer()
const browser = await startBrowser()
const publish = publishers(server)
const { channel } = server.addUser(person.email, person.password, 'broadcaster')
const context = await browser.newContext({ viewport, permissions: ['camera', 'microphone'] })
/** Whether the broadcaster has signed in. */
let known = false
const parts = { first, ages }
try {
  for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts)) await parts[name]()
} finally {
  await publish.close()
  await browser.close()
  await server.stop()
  server.remove()
}

/** How long the first picture takes: for one who waits for the broadcast, and one who comes into it. */
async function first() {
  const sources = {
    'whippub, 1280x720 of 2.5 Mbit/s': async () => {
      const publisher = publish.whip(channel, '-size', '1280x720', '-bitrate', '2500000', '-answer-pli')
      return { since: await publisher.since(), stop: publisher.stop }
    },
    'the studio in the same Chromium': fromStudio,
  }
  for (const [name, start] of Object.entries(sources)) {
    const [waited, came] = [[], []]
    for (let run = 0; run < runs; run++) {
      const early = await viewer()
      await early.page.getByText('is not live').or(early.page.getByText('There is no such channel')).waitFor()
      const source = await start()
      const seen = await waterfall(early)
      waited.push(seen.painted - source.since)
      console.log(`  after the POST: ${after(source.since, seen)}`)
      await early.page.close()
      const late = await viewer()
      const then = await waterfall(late)
      came.push(then.painted - then.opened)
      console.log(`  after the opening: ${after(then.opened + 1, then)}`)
      await late.page.close()
      await source.stop()
    }
    const tell = (all) => `${(median(all) / 1000).toFixed(2)} s (${all.map((ms) => (ms / 1000).toFixed(2)).join(' ')})`
    console.log(`${name}: WHIP POST to first picture ${tell(waited)}; page opened to first picture ${tell(came)}`)
  }
}

async function viewer() {
  const page = await openPage(context, 'latency-first')
  await noteFirstFrame(page.page)
  await page.page.goto(`${server.url}/live/${channel.id}`)
  return page
}

async function fromStudio() {
  const studio = await openPage(context, 'latency-studio')
  await atStudio(studio)
  const posted = studio.page.waitForRequest(/\/whip\//)
  await goLive(studio)
  const since = (await posted).timing().startTime
  return {
    since,
    async stop() {
      await stopBroadcast(studio)
      await studio.page.close()
    },
  }
}

async function atStudio(studio) {
  if (known) await studio.page.goto(`${server.url}/broadcast`)
  else await signIn(studio, server.url, person, '/broadcast')
  known = true
}

/** How old the pictures are, from the canvas that is broadcast to the screen: the picture carries a clock. */
async function ages() {
  const studio = await openPage(context, 'latency-studio')
  await carryClock(studio.page)
  await atStudio(studio)
  await goLive(studio)

  const seat = await openPage(context, 'latency-viewer')
  await seat.page.goto(`${server.url}/live/${channel.id}`)
  for (const [way, title] of [['hls', 'Low latency (HLS)'], ['webrtc', 'Ultra low latency (WebRTC)']]) {
    await chooseDelay(seat, title)
    await playing(seat, way)
    await seat.page.waitForTimeout(settling * 1000)
    const seen = await readClock(seat.page, counting)
    const shown = await seat.page.locator('.edge .lag').evaluate((lag) => lag.firstChild.textContent.trim())
    await seat.shoot(way)
    const at = (share) => (seen[Math.floor((seen.length - 1) * share)] / 1000).toFixed(2)
    console.log(`${title}: p50 ${at(0.5)} s, p95 ${at(0.95)} s, least ${at(0)} s, most ${at(1)} s (${seen.length} pictures); the player says ${shown}`)
  }
}
