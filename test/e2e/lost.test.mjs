// What a broadcast outlives: its network, and the server under it. Nobody touches
// a page meanwhile.
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { keepPeers, playFor } from './measure.mjs'
import { relayWhip, startRelay } from './relay.mjs'
import { api, chooseDelay, connected, ended, goLive, playing, signIn, stopBroadcast } from './steps.mjs'
import { story } from './story.mjs'

const nora = { email: 'nora@example.com', password: 'a sentence to remember' }

let server, relay, studio, seat, phone, channel, streamId
/** WHIP requests and how they were answered; the ICE restart is held until the page was looked at. */
const exchanges = []
let goOn
const looked = new Promise((done) => (goOn = done))

const { step, noErrors } = story(['--streaming-reconnect-window', '45s'], async ({ server: started, browser, open }) => {
  server = started
  channel = server.addUser(nora.email, nora.password, 'broadcaster').channel.id
  const desktop = { viewport: { width: 1280, height: 800 } }
  const casting = await browser.newContext({ ...desktop, permissions: ['camera', 'microphone'], colorScheme: 'dark' })
  const watching = await browser.newContext({ ...desktop, colorScheme: 'light' })
  const mobile = await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' })
  studio = await open(casting, 'lost-studio')
  seat = await open(watching, 'lost-seat')
  phone = await open(mobile, 'lost-phone')
  for (const { page } of [studio, phone]) await keepPeers(page)
  await signIn(studio, server.url, nora, '/broadcast')
})

step('one watches by HLS, one by WebRTC', async () => {
  relay = await startRelay(server.udp)
  await relayWhip(studio.page, relay, async (exchange, method) => {
    if (method === 'PATCH') await looked
    const status = await exchange()
    exchanges.push(`${method} ${status}`)
    relay.mend()
  })
  await goLive(studio)
  for (const viewer of [seat, phone]) await viewer.page.goto(`${server.url}/live/${channel}`)
  await chooseDelay(phone, 'Ultra low latency (WebRTC)')
  await playing(seat, 'hls')
  await playing(phone, 'webrtc')
  streamId = (await api(seat.page, `/api/channel/${channel}`)).streamId
  assert.match(streamId, /^st-/)
})

step('a network that was lost is found again by an ICE restart of the same session', async () => {
  relay.cut()
  await reconnecting()
  await studio.shootBoth('reconnecting')
  goOn()
  await connected(studio)
  assert.deepEqual(exchanges, ['POST 201', 'PATCH 200'])
  await goesOn()
  await studio.page.unroute('**/whip/**')
})

step('a connection that sends no picture is replaced', async () => {
  // As when Chromium's encoder does not begin: the camera runs, and nothing leaves.
  const before = await studio.page.evaluate(async () => {
    await window.peers.at(-1).getSenders().find(({ track }) => track?.kind === 'video').replaceTrack(null)
    return window.peers.length
  })
  await studio.page.waitForFunction((count) => window.peers.length > count, before)
  await connected(studio)
  await goesOn()
})

step('the server is stopped and started', async () => {
  await lose(() => server.stop(), 'stopped')
})

step('the server is killed and started', async () => {
  await lose(() => server.kill(), 'killed')
})

after(() => relay?.close())

step('all of it is one video', async () => {
  await stopBroadcast(studio)
  assert.equal(await ended(studio, 'valid'), streamId)
  await studio.shootBoth('ended')
  const listed = await api(seat.page, '/api/videos')
  assert.deepEqual(listed.data.map(({ id }) => id), [streamId], 'it is one video')
})

noErrors()

function reconnecting() {
  return studio.page.getByTestId('connection').filter({ hasText: 'Reconnecting' }).waitFor()
}

/** Takes the server away and brings it back; the pages have to come back by themselves. */
async function lose(end, name) {
  await end()
  await reconnecting()
  await studio.shootBoth(`server-${name}`)
  await seat.shootBoth(`server-${name}`)
  await server.start()
  await connected(studio)
  await goesOn()
}

/** The viewers see the same broadcast again. */
async function goesOn() {
  await Promise.all(
    [seat, phone].map(async (viewer) => {
      await viewer.page.locator('.away').waitFor({ state: 'detached' })
      await playFor(viewer.page, 2)
    }),
  )
  const back = await api(seat.page, `/api/channel/${channel}`)
  assert.deepEqual([back.live, back.reconnecting ?? false, back.streamId], [true, false, streamId])
}
