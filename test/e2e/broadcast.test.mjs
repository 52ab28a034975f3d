// From a phone's browser to a published video: the whole path, in the real
// program and real browsers.
import assert from 'node:assert/strict'
import { noteSent, playFor, playInAll } from './measure.mjs'
import { api, checkMP4, ended, goLive, onAirFor, stopBroadcast } from './steps.mjs'
import { story } from './story.mjs'

const email = 'nora@example.com'
const password = 'a sentence to remember'

let server, studio, lobby, seat, plain, videoId

const { step, open, noErrors } = story(['--auth-allowed-domains', 'example.com'], async ({ server: started, browser, open }) => {
  server = started
  const phone = await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, permissions: ['camera', 'microphone'], colorScheme: 'dark' })
  const desktop = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })
  studio = await open(phone, 'phone')
  await noteSent(studio.page)
  lobby = await open(desktop, 'lobby')
  seat = await open(desktop, 'seat')
  // Stands for phones that refuse the WebSocket of a local authority: server-sent events it is.
  plain = await open(desktop, 'plain')
  await plain.page.addInitScript(() => {
    window.WebSocket = class {
      constructor() {
        throw new DOMException('no WebSocket here', 'SecurityError')
      }
    }
  })
})

step('somebody signs up as a broadcaster', async () => {
  const { page, shoot } = studio
  await page.goto(server.url + '/signup')
  await page.getByLabel('E-mail').fill(email)
  await page.getByRole('textbox', { name: 'Password' }).fill(password)
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByRole('heading', { name: 'Look into your mailbox' }).waitFor()
  await shoot('signup')
  const [link] = await server.logged(/http:\/\/\S+\/confirm#token=[\w-]+/)
  await page.goto(link)
  await page.getByRole('button', { name: 'Confirm my address' }).click()
  await page.waitForURL('**/broadcast')
})

step('a broadcast shows everywhere by itself and plays with picture and sound', async () => {
  await lobby.page.goto(server.url)
  await lobby.page.getByText('Nobody is live right now').waitFor()
  await seat.page.goto(server.url)
  await seat.page.getByText('Nobody is live right now').waitFor()

  await plain.page.goto(server.url)
  await plain.page.getByText('Nobody is live right now').waitFor()

  await goLive(studio)
  await studio.shoot('live')

  await lobby.page.locator('.live-card').waitFor()
  await lobby.shoot('live-badge')
  assert.equal(lobby.loads(), 1, 'the first page was not loaded again')
  await plain.page.locator('.live-card').waitFor()
  assert.equal(plain.loads(), 1, 'nor was the one without WebSocket')
  assert.deepEqual(lobby.streams(), ['/mqtt'])
  assert.deepEqual(plain.streams(), ['/events'])

  await seat.page.locator('.live-card').click()
  const played = await playFor(seat.page, 5)
  await seat.page.locator('media-controller').hover() // shows the controls
  await seat.shoot('watching-live')
  assert.equal(played.muted, false, 'sound is on')
  assert.equal(seat.loads(), 1)
})

step('a reaction is drawn on every picture', async () => {
  const fan = await open(studio.page.context(), 'fan')
  await fan.page.goto(seat.page.url())
  const love = fan.page.getByRole('button', { name: 'Love' })
  await love.waitFor()
  await fan.page.waitForFunction(() => document.querySelector('.floats'))
  const drawn = Promise.all([seat, studio].map(({ page }) => page.locator('.floats span').first().waitFor()))
  await love.click()
  await drawn
  await seat.shoot('reaction')
  await fan.page.close()
})

step('the recording is published by itself', async (t) => {
  await onAirFor(studio, 15)
  const [sent] = await stopBroadcast(studio)
  videoId = await ended(studio, 'valid')
  await studio.shoot('published')

  await lobby.page.locator(`a[href="/watch/${videoId}"]`).waitFor()
  assert.equal(await lobby.page.locator('.live-card').count(), 0, 'nobody is live any more')
  assert.equal(lobby.loads(), 1, 'the first page was not loaded again')
  await lobby.shoot('published')

  await seat.page.waitForURL(`**/watch/${videoId}`)
  assert.equal(seat.loads(), 1, 'the live page went on to the recording by itself')
  await seat.page.waitForFunction(() => Number.isFinite(document.querySelector('media-controller video')?.duration))
  await playInAll(seat.page, 3)
  await seat.shoot('on-demand')

  const video = await api(seat.page, `/api/video/${videoId}`)
  const mp4 = await checkMP4(seat.page, video, sent, 0.5)
  t.diagnostic(`${sent.toFixed(3)} s were sent, the MP4 is ${mp4.duration.toFixed(3)} s long`)
})

step('the timeline tells what happened', async () => {
  const { page, shoot } = studio
  await page.getByRole('link', { name: 'See its story' }).click()
  await page.locator('.timeline').waitFor()
  const steps = await page.locator('.timeline .step strong').allTextContents()
  for (const wanted of [/live|started/i, /ended/i, /mp4|file/i, /duration/i, /publish|valid/i]) {
    assert.ok(steps.some((step) => wanted.test(step)), `a step says ${wanted}: ${steps.join(' | ')}`)
  }
  await page.screenshot({ path: new URL('../../test-results/e2e/phone-timeline.png', import.meta.url).pathname, fullPage: true })
  await shoot('timeline-top')
})

step('its owner says who sees it, and viewers find it by what they type', async () => {
  const { page, shoot } = studio
  const edit = async (fill) => {
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Title').waitFor()
    await fill()
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Your changes are saved.').first().waitFor()
    await page.locator('dialog[open]').waitFor({ state: 'detached' })
  }
  const status = (at, path) => at.evaluate((p) => fetch(p, { cache: 'no-store' }).then((r) => r.status), path)
  const media = ['master.m3u8', 'video.mp4', 'thumbnail.jpg'].map((name) => `/vod/${videoId}/${name}`)
  const about = [`/api/video/${videoId}`, `/api/video/${videoId}/history`, ...media]
  await edit(async () => {
    await page.getByLabel('Title').fill('Café at the harbour')
    await page.getByLabel('Description').fill('A first try')
    await page.getByLabel('Event tag').fill('opening-night')
    await page.getByLabel('Private').check()
  })
  await page.getByRole('heading', { name: 'Café at the harbour' }).waitFor()
  await shoot('private')
  for (const path of about) {
    assert.equal(await status(page, path), 200, `its owner gets ${path}`)
    assert.equal(await status(lobby.page, path), 404, `nobody else gets ${path}`)
  }
  for (const path of ['/api/videos', '/api/videos/opening-night', '/api/videos?q=harbour']) {
    assert.equal((await api(lobby.page, path)).count, 0, `${path} does not show it`)
  }

  await edit(() => page.getByLabel('Public').check())
  await lobby.page.keyboard.press('/')
  await lobby.page.keyboard.type('cafe har')
  await lobby.page.getByRole('heading', { name: 'Results' }).waitFor()
  await lobby.page.locator(`a[href="/watch/${videoId}"]`).waitFor()
  await lobby.page.getByText('1 video matches “cafe har”.').first().waitFor()
  await lobby.shoot('search')
  await lobby.page.keyboard.press('Escape')
  await lobby.page.getByRole('heading', { name: 'Newest videos' }).waitFor()
  // Another address than above: browsers keep the empty answer for 5 s.
  assert.deepEqual((await api(lobby.page, '/api/videos/opening-night?limit=1')).data.map((video) => video.title), ['Café at the harbour'])
})

step('a broadcast of four seconds is not published, and says why', async () => {
  const { page, shoot } = studio
  await page.getByRole('link', { name: 'Go live' }).click()
  await goLive(studio)
  await onAirFor(studio, 4)
  await stopBroadcast(studio)
  const id = await ended(studio, 'invalid')
  const reason = await page.getByTestId('reason').textContent()
  assert.match(reason, /10/, `the reason says what is asked for: ${reason}`)
  await shoot('not-published')

  await page.getByRole('link', { name: 'My videos' }).click()
  const row = page.locator(`[data-video="${id}"]`)
  await row.waitFor()
  assert.equal(await row.getAttribute('data-status'), 'invalid')
  assert.ok((await row.textContent()).includes(reason.trim()))
  await shoot('my-videos')
  const listed = await api(lobby.page, '/api/videos')
  assert.deepEqual(listed.data.map((video) => video.id), [videoId], 'only the valid video is listed')
  assert.equal(await lobby.page.locator(`a[href="/watch/${id}"]`).count(), 0)
  const status = await lobby.page.evaluate((path) => fetch(path).then((r) => r.status), `/api/video/${id}`)
  assert.equal(status, 404, 'nobody else learns of it')
})

step('open pages come back by themselves after the server was away', async () => {
  const banner = 'Connecting to the server again'
  await server.stop()
  for (const { page } of [lobby, plain]) await page.getByText(banner).waitFor()
  await lobby.shoot('server-away')
  await server.start()
  for (const { page, loads } of [lobby, plain]) {
    await page.getByText(banner).waitFor({ state: 'detached', timeout: 60_000 })
    await page.locator(`a[href="/watch/${videoId}"]`).waitFor()
    assert.equal(loads(), 1)
  }
})

noErrors()
