// hls.js in Chromium plays whatever is sent: by every protocol, and through every
// change on the way.
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { playFor } from './measure.mjs'
import { publishers } from './publisher.mjs'
import { playing } from './steps.mjs'
import { story } from './story.mjs'

let server, seat, deaf, publish

const { step, noErrors } = story([], async ({ server: started, browser, open }) => {
  server = started
  publish = publishers(server)
  const window = { viewport: { width: 1280, height: 800 } }
  seat = await open(await browser.newContext(window), 'inputs-seat')
  deaf = await open(await browser.newContext(window), 'inputs-deaf')
  await deaf.page.routeWebSocket(/\/mqtt$/, (socket) => socket.close())
  await deaf.page.route(/\/events\?/, (route) => route.abort())
  // Every size that the picture has had, also a short one.
  await seat.page.addInitScript(() => {
    window.sizes = []
    addEventListener('resize', ({ target }) => target.videoWidth > 0 && window.sizes.push(`${target.videoWidth}x${target.videoHeight}`), true)
  })
})

after(() => publish?.close())

const small = ['-size', '640x360']
let people = 0

function newChannel() {
  return server.addUser(`person${++people}@example.com`, 'a sentence to remember', 'broadcaster').channel
}

/** Makes a channel, has something published to it and opens its page; the publisher is ended afterwards. */
async function watched(start, does) {
  const channel = newChannel()
  const publisher = start(channel)
  try {
    await seat.page.goto(`${server.url}/live/${channel.id}`)
    await playing(seat, 'hls').catch(async (error) => {
      await seat.shoot('no-picture').catch(() => {}) // while the broadcast lasts
      throw new Error(`${error.message}\nthe publisher said: ${publisher.said()}`)
    })
    await does(channel, publisher)
  } finally {
    await publisher.stop()
  }
}

/** What is sent, and what of it arrives. */
const inputs = {
  'H264 over WHIP': (channel) => publish.whip(channel, ...small),
  'H264 with B-frames and AAC over RTMP': (channel) => publish.rtmp(channel),
  'VP8 over WHIP': (channel) => publish.whip(channel, ...small, '-codec', 'VP8'),
}

for (const [name, start] of Object.entries(inputs)) {
  step(`${name} plays`, () =>
    watched(start, async () => {
      const played = await playFor(seat.page, 3)
      assert.equal(played.muted, false)
      assert.ok((await seat.page.evaluate(() => window.sizes)).every((size) => /^(640x360|854x480|852x480)$/.test(size)))
    }),
  )
}

step('a publisher that was lost and comes back plays on', () =>
  watched(
    (channel) => publish.whip(channel, ...small, '-duration', '5s', '-vanish'),
    async (channel, lost) => {
      await lost.ended
      await seat.page.locator('.away').waitFor()
      const back = publish.whip(channel, ...small)
      try {
        await seat.page.locator('.away').waitFor({ state: 'detached' })
        await playFor(seat.page, 3)
      } finally {
        await back.stop()
      }
    },
  ),
)

step('a picture that changes its size and its orientation plays on', () =>
  watched(
    (channel) => publish.whip(channel, '-size', '640x360,1280x720,360x640'),
    async () => {
      await seat.page.waitForFunction(() => ['640x360', '1280x720', '360x640'].every((size) => window.sizes.includes(size)))
      await playFor(seat.page, 3)
      await seat.shootBoth('portrait')
    },
  ),
)

step('who waits for a broadcast sees it also when no message comes through', async () => {
  const channel = newChannel()
  await deaf.page.goto(`${server.url}/live/${channel.id}`)
  await deaf.page.getByText('is not live').waitFor()
  await deaf.shoot('waiting')
  const publisher = publish.whip(channel, ...small)
  try {
    await playing(deaf, 'hls', { timeout: 90_000 }) // it looks every 30 s
  } finally {
    await publisher.stop()
  }
})

noErrors()
