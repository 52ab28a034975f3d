// Takes screenshots of every page, on a phone and on a desktop, dark and light,
// and checks each with axe.
// Usage: node test/fake/look.mjs [--quick] [name-part …]
// With --quick: the dark desktop and the light phone only.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium } from 'playwright-core'
import { media } from './media.mjs'
import { answerOffers } from './peer.mjs'
import { fake } from './server.mjs'
import * as worlds from './world.mjs'

const root = new URL('../..', import.meta.url).pathname
const out = join(root, 'test-results')
mkdirSync(out, { recursive: true })
const mediaDir = join(out, 'media')
if (!existsSync(mediaDir)) media(mediaDir)

const shots = [
  ['home', 'full', '/'], ['home-out', 'signedOut', '/'], ['home-empty', 'empty', '/'], ['home-quiet', 'quiet', '/'], ['home-broken', 'broken', '/'],
  ['live', 'full', '/live/01a', 'play'], ['live-rewound', 'full', '/live/01a', 'rewind'], ['live-settings', 'full', '/live/01a', 'settings'], ['live-away', 'full', '/live/01a', 'away'],
  ['live-webrtc', 'full', '/live/01a', 'webrtc'], ['live-fallback', 'full', '/live/01a', 'fallback'], ['live-off', 'full', '/live/01c'],
  ['watch', 'full', '/watch/st-0'], ['watch-preview', 'full', '/watch/st-0', 'preview'], ['watch-missing', 'full', '/watch/none'],
  ['broadcast-out', 'signedOut', '/broadcast'], ['broadcast-ask', 'full', '/broadcast'], ['broadcast-preview', 'full', '/broadcast', 'camera'],
  ['studio-live', 'casting', '/broadcast', 'cast'], ['studio-poor', 'struggling', '/broadcast', 'cast'], ['studio-lost', 'casting', '/broadcast', 'lose'], ['studio-continue', 'waiting', '/broadcast', 'camera'], ['my-channel-live', 'casting', '/my/channel', 'health'],
  ['signin', 'signedOut', '/signin'], ['signup', 'signedOut', '/signup'], ['confirm', 'signedOut', '/confirm?token=x'], ['setup', 'empty', '/setup?token=x'],
  ['my-videos', 'full', '/my/videos'], ['my-videos-empty', 'quiet', '/my/videos'], ['my-video', 'full', '/my/videos/st-m1'], ['my-video-working', 'full', '/my/videos/st-m0', 'progress'], ['my-video-failed', 'full', '/my/videos/st-m4'],
  ['my-channel', 'full', '/my/channel'], ['retention', 'full', '/my/channel', 'retention'], ['retention-ask', 'full', '/my/channel', 'retentionAsk'], ['admin', 'full', '/admin'], ['rules', 'full', '/admin/rules'], ['rules-one', 'full', '/admin/rules/ru-1', 'letter'], ['rules-new', 'full', '/admin/rules/new', 'badPattern'], ['events', 'full', '/admin/events', 'event'], ['replays', 'full', '/admin/events/replays'], ['replays-new', 'full', '/admin/events/replays', 'replay'], ['replays-none', 'quiet', '/admin/events/replays'], ['flows', 'full', '/admin/flows'], ['flows-none', 'quiet', '/admin/flows'], ['flows-one', 'full', '/admin/flows/life-st-m1'], ['flows-encode', 'full', '/admin/flows/post-st-m0'], ['flows-failed', 'full', '/admin/flows/post-st-m4.2'], ['flows-retry', 'full', '/admin/flows/post-st-m4.2', 'retryIt'], ['simulations', 'full', '/admin/simulations', 'startSecond'], ['simulations-none', 'quiet', '/admin/simulations'], ['simulations-one', 'full', '/admin/simulations/sim-3'], ['simulations-stop', 'full', '/admin/simulations/sim-3', 'stopIt'], ['not-found', 'full', '/nowhere'], ['menu', 'full', '/', 'menu'],
  ['search', 'full', '/?q=street'], ['search-none', 'nothingFound', '/?q=zebra'], ['search-broken', 'broken', '/?q=x'], ['search-typed', 'full', '/', 'search'],
  ['edit', 'full', '/my/videos', 'edit'], ['edit-wrong', 'stubborn', '/my/videos/st-m1', 'editWrong'], ['watch-mine', 'full', '/watch/st-m1', 'saved'], ['story', 'full', '/watch/st-0', 'story'],
]
const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } }
const quick = process.argv.includes('--quick')
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'))

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--disable-features=WebRtcHideLocalIpsWithMdns'],
})
/** Plays, and shows the controls. */
async function play(page) {
  await page.waitForFunction(() => document.querySelector('media-controller video')?.currentTime > 0 && document.querySelector('media-controller video').readyState > 2)
  await page.waitForTimeout(1200)
}

async function showControls(page) {
  const box = await page.locator('media-controller').boundingBox()
  for (const x of [60, 70]) await page.mouse.move(box.x + x, box.y + 60)
  await page.waitForTimeout(400)
}
/** Drags on the time line, which shows what is there. (Headless Chromium has no pointer that hovers.) */
async function pointAtTime(page) {
  await showControls(page)
  const box = await page.locator('media-time-range').boundingBox()
  await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.62, box.y + box.height / 2)
  await page.waitForTimeout(500)
}
const actions = {
  async letter(page) {
    await page.getByRole('button', { name: /^Dead letter/ }).click()
    await page.getByText('Last tries').waitFor()
  },
  async event(page) {
    await page.locator('[data-event] .line', { hasText: 'Stream State Change' }).click()
    await page.waitForTimeout(300)
  },
  async replay(page) {
    await page.getByRole('button', { name: 'New replay' }).click()
    await page.getByText('events match.').waitFor()
  },
  async badPattern(page) {
    await page.getByLabel('Name', { exact: true }).fill('Many viewers')
    await page.getByLabel('URL').fill('https://example.com/hook')
    await page.getByLabel('Pattern').fill('{\n  "detail": {\n    "count": [{ "numeric": [">", "100"] }]\n  }\n}')
    await page.getByRole('button', { name: 'Make the rule' }).click()
    await page.getByText('Line 3, column 34').waitFor()
    const at = await page.evaluate(() => document.activeElement?.selectionStart)
    if (at !== 49) throw new Error(`the caret is at ${at}`)
  },
  async startSecond(page) {
    await page.getByRole('button', { name: 'Start' }).click()
    await page.getByText('the simulation sim-3 runs').waitFor()
  },
  async retryIt(page) {
    await page.getByRole('button', { name: 'Retry' }).click()
    await page.getByRole('heading', { name: 'Retry this flow?' }).waitFor()
  },
  async stopIt(page) {
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByRole('heading', { name: 'Stop the simulation?' }).waitFor()
  },
  play,
  async preview(page) {
    await play(page)
    await pointAtTime(page)
    await page.waitForFunction(() => document.querySelector('media-preview-thumbnail')?.shadowRoot?.querySelector('img')?.naturalWidth > 0)
  },
  async progress(page, { server }) {
    await page.getByRole('progressbar').waitFor()
    await page.waitForTimeout(2500)
    server.say(`serverlessVideo-user-${worlds.me.id}`, { type: 'MP4ProcessingProgress', detail: { id: 'st-m0', channel_name: worlds.me.id, step: 'thumbnail', percent: 91 } })
    await page.getByText('91 %').waitFor()
  },
  async retention(page) {
    await page.getByLabel('Delete recordings when they are older than').check()
    await page.getByLabel('Delete the oldest when all take more than').check()
    await page.getByLabel('Gigabytes').fill('')
    await page.locator('form', { has: page.getByLabel('Gigabytes') }).evaluate((form) => (form.noValidate = true))
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('A number of gigabytes').waitFor()
    await page.getByText('What is deleted cannot').scrollIntoViewIfNeeded()
  },
  async retentionAsk(page) {
    await page.getByLabel('Delete recordings when they are older than').check()
    await page.getByLabel('Days').fill('30')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('dialog').getByText('17 recordings with 12.9 GB').waitFor()
  },
  menu: (page) => page.click('.face'),
  async story(page) {
    await page.click('.story > button')
    await page.waitForSelector('.timeline')
  },
  async search(page) {
    await page.keyboard.press('/')
    await page.keyboard.type('night market')
    await page.waitForURL(/q=night\+market/)
    await page.getByRole('heading', { name: 'Results' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('heading', { name: 'Newest videos' }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { name: 'Results' }).waitFor()
  },
  async edit(page) {
    await page.getByRole('button', { name: /^Edit Keynote/ }).click()
    await page.getByLabel('Title').waitFor()
  },
  async editWrong(page) {
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Event tag').fill('my event')
    await page.getByLabel('Event tag').press('Enter')
    await page.getByText('An event tag is one word').waitFor()
    await page.getByLabel('Event tag').fill('my-event')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('The database does not answer').waitFor()
    await page.getByLabel('Event tag').fill('my event')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.waitForTimeout(300)
  },
  async saved(page) {
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Title').fill('A better title')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { name: 'A better title' }).waitFor()
  },
  camera: (page) => page.waitForFunction(() => document.querySelector('video')?.videoWidth > 0),
  async rewind(page) {
    await play(page)
    await page.getByLabel('Position in the broadcast').focus()
    for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowLeft')
    await page.getByRole('button', { name: 'Back to live' }).waitFor()
    await play(page)
  },
  async settings(page) {
    await play(page)
    await page.getByRole('button', { name: 'Playback settings' }).click()
    await page.getByText('Ultra low latency (WebRTC)').waitFor()
  },
  async away(page, { server }) {
    await play(page)
    await page.waitForTimeout(2500)
    server.say('serverlessVideo-global', { type: 'Stream State Change', detail: { event_name: 'Starvation Start', channel_name: '01a', stream_id: 'st-l1' } })
    await page.getByText("The broadcaster's connection was lost").waitFor()
  },
  async webrtc(page) {
    await play(page)
    await page.getByRole('button', { name: 'Playback settings' }).click()
    await page.getByText('Ultra low latency (WebRTC)').click()
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => document.querySelector('media-controller video')?.srcObject)
    await page.waitForTimeout(1500)
    await play(page)
  },
  async fallback(page) {
    await page.evaluate(() => localStorage.setItem('live-way', 'webrtc'))
    await page.reload()
    await page.locator('.notices').getByText('You now watch with low latency').waitFor()
    await play(page)
  },
  async cast(page, { peer }) {
    await actions.camera(page)
    await page.getByRole('button', { name: 'Go live' }).click()
    await page.getByTestId('connection').filter({ hasText: 'Connected' }).waitFor()
    await page.getByTestId('health').getByRole('button').click()
    await page.waitForTimeout(6500)
    return peer
  },
  async lose(page, { peer }) {
    await actions.camera(page)
    await page.getByRole('button', { name: 'Go live' }).click()
    await page.getByTestId('connection').filter({ hasText: 'Connected' }).waitFor()
    await peer.gone()
    await page.getByText('Your connection was lost').waitFor()
    await page.waitForTimeout(2500)
  },
  async health(page) {
    await page.getByTestId('health').waitFor()
    await page.waitForTimeout(4500)
  },
}
let bad = 0
for (const [name, world, path, action] of shots) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue
  const server = fake(worlds[world], { dist: join(root, 'dist'), mediaDir })
  const base = await server.start()
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const scheme of ['dark', 'light']) {
      if (quick && (size === 'phone') !== (scheme === 'light')) continue
      const context = await browser.newContext({ viewport, colorScheme: scheme, reducedMotion: 'reduce', deviceScaleFactor: 1, hasTouch: size === 'phone', permissions: ['camera', 'cast', 'lose'].includes(action) ? ['camera', 'microphone'] : [] })
      const page = await context.newPage()
      const errors = []
      page.on('console', (m) => m.type() === 'error' && !/400|404|406|409|503|WebSocket/.test(m.text()) && errors.push(m.text()))
      page.setDefaultTimeout(12_000)
      page.on('pageerror', (e) => errors.push(String(e)))
      const peer = ['cast', 'lose', 'webrtc'].includes(action) ? await answerOffers(context, page) : null
      await page.goto(base + path)
      await page.waitForSelector('main h1, main h2')
      await page.waitForFunction(() => !document.querySelector('main .skeleton'))
      await actions[action]?.(page, { server, peer }).catch((error) => errors.push(String(error)))
      await page.waitForTimeout(path.startsWith('/watch/st') ? 1800 : 350)
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      if (width > viewport.width) errors.push(`page is ${width} px wide, the screen ${viewport.width}`)
      const axe = await new AxeBuilder({ page }).analyze()
      for (const v of axe.violations) errors.push(`axe ${v.id}: ${v.help} @ ${v.nodes.map((n) => n.target.join(' ')).slice(0, 4).join(' | ')}`)
      if (path.startsWith('/live/01a') || path.startsWith('/watch/st')) await (action === 'preview' ? pointAtTime(page) : showControls(page))
      await page.screenshot({ path: join(out, `${name}-${size}-${scheme}.png`), fullPage: size === 'phone' ? !action : action !== 'preview' })
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
