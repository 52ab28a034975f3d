// What lasts longer than a moment: a broadcast that is watched in both ways,
// rewound, lost and continued, and then seen on demand.
import assert from 'node:assert/strict'
import { keepPeers, noteSent, playFor, playInAll, sentSeconds } from './measure.mjs'
import { api, checkMP4, chooseDelay, connected, ended, goLive, onAirFor, playing, preview, showControls, signIn, stopBroadcast } from './steps.mjs'
import { story } from './story.mjs'

const nora = { email: 'nora@example.com', password: 'a sentence to remember' }
const finn = { email: 'finn@example.com', password: 'another sentence to remember' }

let server, studio, lobby, seat, phone, channel, streamId, joint
/** Second of the media at which each reaction was sent. */
const moments = {}

const { step, noErrors } = story([], async ({ server: started, browser, open }) => {
  server = started
  channel = server.addUser(nora.email, nora.password, 'broadcaster').channel.id
  server.addUser(finn.email, finn.password, 'viewer')
  const desktop = { viewport: { width: 1280, height: 800 } }
  const casting = await browser.newContext({ ...desktop, permissions: ['camera', 'microphone'], colorScheme: 'dark' })
  const watching = await browser.newContext({ ...desktop, colorScheme: 'light' })
  const mobile = await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' })
  studio = await open(casting, 'live-studio')
  await noteSent(studio.page)
  // Leaving while live is asked about; this broadcaster means it.
  studio.page.on('dialog', (dialog) => dialog.accept())
  lobby = await open(watching, 'live-lobby')
  seat = await open(watching, 'live-seat')
  phone = await open(mobile, 'live-phone')
  for (const { page } of [seat, phone]) await keepPeers(page)
  await signIn(studio, server.url, nora, '/broadcast')
  await signIn(seat, server.url, finn, '/')
})

step('the first page shows a picture of who is live', async () => {
  await lobby.page.goto(server.url)
  await lobby.page.getByText('Nobody is live right now').waitFor()
  await goLive(studio)
  const picture = lobby.page.locator('.live-card .live-thumb img')
  await picture.waitFor()
  await lobby.page.waitForFunction(() => document.querySelector('.live-card .live-thumb img')?.naturalWidth > 0)
  assert.match(await picture.getAttribute('src'), new RegExp(`/live/${channel}/`))
  await lobby.shootBoth('thumbnail')
  assert.equal(lobby.loads(), 1, 'the page was not loaded again')
})

step('the broadcaster sees how the stream arrives', async () => {
  const { page, shootBoth } = studio
  const health = page.getByTestId('health')
  await health.waitFor()
  await health.getByRole('button').click()
  const figures = () => health.locator('dl div').evaluateAll((rows) => Object.fromEntries(rows.map((row) => [row.querySelector('dt').textContent, row.querySelector('dd').textContent])))
  await page.waitForFunction(() => document.querySelectorAll('[data-testid=health] dl div').length >= 8 && /^[1-9]/.test(document.querySelector('[data-testid=health] dl dd').textContent))
  const shown = await figures()
  assert.match(shown.Bitrate, /^[1-9][\d.]* (k|M)bit\/s$/)
  assert.match(shown.Picture, /^\d{3,4} × \d{3,4}$/)
  assert.match(shown.Frames, /^[1-9][\d.]* \/s$/)
  assert.match(shown.Lost, /^[\d.]+ %$/)
  assert.match(shown['Sent by'], /WHIP, H\.?264 \+ Opus/i)
  await shootBoth('health')
  await health.getByRole('button').click()
})

step('a viewer changes to WebRTC, with picture and sound below 1.5 s', async () => {
  for (const viewer of [seat, phone]) {
    await viewer.page.goto(`${server.url}/live/${channel}`)
    viewer.loaded = viewer.loads()
  }
  await playFor(seat.page, 2)
  await seat.shootBoth('hls')
  for (const viewer of [seat, phone]) {
    await chooseDelay(viewer, 'Ultra low latency (WebRTC)')
    await playing(viewer, 'webrtc')
    await playFor(viewer.page, 2)
    await lag(viewer, 1.5)
  }
  await showControls(seat)
  await seat.shootBoth('webrtc')
  await showControls(phone)
  await phone.shoot('webrtc')
})

step('back on HLS, Home goes to the start of the broadcast and End to live', async () => {
  await chooseDelay(seat, 'Low latency (HLS)')
  await playing(seat, 'hls')
  await playFor(seat.page, 1)
  await onAirFor(studio, 16)
  const { page } = seat
  await page.getByRole('slider', { name: 'Position in the broadcast' }).waitFor({ state: 'attached' })
  await page.locator('media-controller').press('Home')
  await page.getByText('Back to live').waitFor()
  await page.waitForFunction(() => {
    const video = document.querySelector('media-controller video')
    return !video.seeking && video.currentTime > 0 && video.currentTime < 4
  })
  const played = await playFor(page, 2)
  assert.equal(played.muted, false)
  await showControls(seat)
  await seat.shootBoth('rewound')
  await page.locator('media-controller').press('End')
  await page.getByText('Back to live').waitFor({ state: 'detached' })
  await playFor(page, 1)
  await lag(seat, 8)
})

step('a broadcaster who loads the page again continues the same broadcast', async () => {
  streamId = (await api(seat.page, `/api/channel/${channel}`)).streamId
  assert.match(streamId, /^st-/)
  await react('Love')
  const { page } = studio
  await page.reload()
  joint = sum(await sentSeconds(page))
  const go = await preview(studio, 'Continue broadcast')
  await Promise.all([seat, phone].map((viewer) => viewer.page.locator('.away').getByText('Reconnecting…').waitFor()))
  await seat.shootBoth('reconnecting')
  await phone.shoot('reconnecting')
  await studio.shootBoth('continue')
  const away = await api(seat.page, `/api/channel/${channel}`)
  assert.deepEqual([away.live, away.reconnecting, away.streamId], [true, true, streamId])

  await go.click()
  await connected(studio)
  await Promise.all(
    [seat, phone].map(async (viewer) => {
      await viewer.page.locator('.away').waitFor({ state: 'detached' })
      await playFor(viewer.page, 2)
    }),
  )
  await react('Applause')
  await playFor(seat.page, 3) // so that there is something to play after it, too
  const back = await api(seat.page, `/api/channel/${channel}`)
  assert.deepEqual([back.live, back.reconnecting ?? false, back.streamId], [true, false, streamId])
  for (const viewer of [seat, phone]) assert.equal(viewer.loads(), viewer.loaded, 'no viewer loaded the page again')
  await seat.shootBoth('continued')
  await studio.shootBoth('continued')
})

step('each viewer counts once', async () => {
  // The seat watches by HLS, the phone by WebRTC; one that changed its way may count twice for a moment.
  await studio.page.getByTestId('viewers').getByText('2 viewers').waitFor()
})

step('both parts become one video of the right length', async (t) => {
  const sent = await stopBroadcast(studio)
  assert.equal(sent.length, 2, `two connections sent: ${sent}`)
  assert.equal(await ended(studio, 'valid'), streamId)
  await studio.shootBoth('published')
  const listed = await api(seat.page, '/api/videos')
  assert.deepEqual(listed.data.map(({ id }) => id), [streamId], 'it is one video')
  const mp4 = await checkMP4(lobby.page, listed.data[0], sum(sent), 1)
  t.diagnostic(`${sent.map((s) => s.toFixed(3)).join(' + ')} s were sent, the MP4 is ${mp4.duration.toFixed(3)} s long`)
})

step('on demand it plays across the joint, with each reaction at its moment', async (t) => {
  const { page } = seat
  await page.goto(`${server.url}/watch/${streamId}?t=${Math.max(0, Math.floor(Math.min(joint, moments.Love) - 3))}`)
  await page.evaluate(() => {
    window.drawn = {}
    new MutationObserver(() => {
      for (const span of document.querySelectorAll('.floats span')) window.drawn[span.textContent] ??= document.querySelector('media-controller video').currentTime
    }).observe(document.body, { childList: true, subtree: true })
  })
  await page.waitForFunction(() => window.drawn['❤️'] !== undefined)
  await seat.shootBoth('reaction-on-demand')
  await page.waitForFunction((end) => document.querySelector('media-controller video').currentTime > end, joint + 2)
  await page.waitForFunction(() => window.drawn['👏'] !== undefined)
  const drawn = await page.evaluate(() => window.drawn)
  t.diagnostic(`sent at ${JSON.stringify(moments)}, drawn at ${JSON.stringify(drawn)}, joint at ${joint.toFixed(2)}`)
  for (const [name, emoji] of [['Love', '❤️'], ['Applause', '👏']]) {
    assert.ok(Math.abs(drawn[emoji] - moments[name]) < 2, `${name} was sent at ${moments[name]} s and shows at ${drawn[emoji]} s`)
  }
  await playInAll(page, 3)
})

step('the time line shows the picture of the moment under the pointer', async () => {
  const { page, shoot } = seat
  await page.locator('media-time-range').waitFor()
  const shown = {}
  for (const part of [0.15, 0.85]) {
    shown[part] = await previewAt(seat, part)
    await shoot(`time-line-${part}`)
  }
  assert.match(shown[0.15].image, new RegExp(`/vod/${streamId}/storyboard-1\\.jpg`))
  assert.notEqual(shown[0.15].coords, shown[0.85].coords, 'another moment has another picture')
  for (const { width, height, time, colours } of Object.values(shown)) {
    assert.ok(width >= 120 && height >= 67 && Math.abs(width / height - 16 / 9) < 0.35, `the picture is ${width} x ${height}`)
    assert.match(time, /^\d+:\d\d$/)
    assert.ok(colours > 8, `the picture shows something: ${colours} colours`)
  }
  assert.notEqual(shown[0.15].time, shown[0.85].time)
  await page.mouse.move(5, 5)
  await page.waitForFunction(() => getComputedStyle(document.querySelector('media-time-range').shadowRoot.querySelector('[part~=preview-box]')).visibility === 'hidden')
})

noErrors()

/** Moves the pointer to a part of the time line, and returns what is shown of that moment once it is seen. */
async function previewAt({ page }, part) {
  await page.locator('media-controller').hover()
  const line = await page.locator('media-time-range').boundingBox()
  await page.mouse.move(line.x + line.width * part, line.y + line.height / 2, { steps: 3 })
  const preview = await page.waitForFunction((part) => {
    const display = document.querySelector('media-preview-time-display')
    const time = display.textContent.trim() || display.shadowRoot.textContent.trim().split(/\s/).at(-1)
    const { duration } = document.querySelector('video')
    const moment = time.split(':').reduce((all, one) => 60 * all + Number(one), 0)
    if (!(Math.abs(moment - part * duration) < duration / 10)) return null // where the pointer was before
    const thumbnail = document.querySelector('media-preview-thumbnail')
    const picture = thumbnail.shadowRoot.querySelector('img')
    const { visibility, opacity } = getComputedStyle(thumbnail)
    if (!picture.complete || picture.naturalWidth === 0 || visibility !== 'visible' || opacity !== '1') return null
    const [x, y, w, h] = thumbnail.getAttribute('mediapreviewcoords').split(' ').map(Number)
    const canvas = new OffscreenCanvas(w, h)
    const context = canvas.getContext('2d')
    context.drawImage(picture, x, y, w, h, 0, 0, w, h)
    const data = context.getImageData(0, 0, w, h).data
    const colours = new Set()
    for (let i = 0; i < data.length; i += 4) colours.add(((data[i] >> 4) << 8) | ((data[i + 1] >> 4) << 4) | (data[i + 2] >> 4))
    const { width, height } = thumbnail.getBoundingClientRect()
    return {
      image: picture.src, coords: `${x} ${y} ${w} ${h}`, width, height, colours: colours.size, time,
    }
  }, part)
  return preview.jsonValue()
}

/** Waits until the player says that it is less than so many seconds behind the camera. */
function lag({ page }, most) {
  return page.waitForFunction((seconds) => parseFloat(document.querySelector('.edge .lag')?.textContent) < seconds, most)
}

/** Sends a reaction from the seat, and notes when. */
async function react(name) {
  await seat.page.getByRole('button', { name }).click()
  moments[name] = sum(await sentSeconds(studio.page))
}

function sum(numbers) {
  return numbers.reduce((all, one) => all + one, 0)
}
