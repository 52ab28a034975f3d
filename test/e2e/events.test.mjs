// The page of the events stays open while the node goes away and comes back: what
// happened meanwhile is there then, and nothing twice.
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { api, signIn } from './steps.mjs'
import { story } from './story.mjs'

const root = { email: 'root@example.com', password: 'a sentence to remember' }

let server, desk, phone, loads

const { step, noErrors } = story([], async ({ server: started, browser, open }) => {
  server = started
  server.addUser(root.email, root.password, 'admin')
  desk = await open(await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' }), 'events-desk')
  phone = await open(await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }), 'events-phone')
  await signIn(desk, server.url, root, '/admin/events')
  await signIn(phone, server.url, root, '/admin/events?type=BroadcastUserCreated')
  loads = [desk.loads(), phone.loads()]
})

/** Something happens, also on a node that is stopped: then it is said when it starts. */
const happens = (name) => server.addUser(`${name}@example.com`, 'another sentence to remember', 'broadcaster')
const state = ({ page }, wanted) => page.locator(`[role=status][data-state=${wanted}]`).waitFor()
const row = ({ page }, name) => page.locator('[data-event]').filter({ hasText: `${name}@example.com` })
const seen = (name) => Promise.all([desk, phone].map((view) => row(view, name).waitFor()))
const shown = ({ page }) => page.locator('[data-event]').evaluateAll((rows) => rows.map((row) => row.dataset.event))

/** Waits until the pages show what the archive has: all of it, in its order. Nothing may be there twice meanwhile. */
async function complete(...views) {
  for (const view of views.length > 0 ? views : [desk, phone]) {
    const filter = view === phone ? '&type=BroadcastUserCreated' : ''
    for (const until = Date.now() + 20_000; ; await new Promise((done) => setTimeout(done, 100))) {
      const ids = await shown(view)
      assert.equal(new Set(ids).size, ids.length, `an event is there twice: ${ids}`)
      const { data } = await api(view.page, `/api/archive/events?limit=100${filter}`)
      const kept = data.map((event) => event.id)
      if (Date.now() < until && !isDeepStrictEqual(ids, kept)) continue
      assert.deepEqual(ids, kept)
      break
    }
  }
}

step('events show up as they pass', async () => {
  await Promise.all([state(desk, 'live'), state(phone, 'live')])
  happens('ada')
  await seen('ada')
  await complete()
})

step('the node stops, and what happens meanwhile is there when it is back', async () => {
  assert.equal(await server.stop(), 0)
  await Promise.all([state(desk, 'connecting'), state(phone, 'connecting')])
  await phone.shoot('away')
  happens('bob')
  await server.start()
  await Promise.all([state(desk, 'live'), state(phone, 'live')])
  await seen('bob')
  happens('cleo')
  await seen('cleo')
  await complete()
  await desk.shootBoth('back')
})

step('it is killed several times, each right after something has happened', async () => {
  for (const name of ['dora', 'emil', 'fay']) {
    happens(name)
    await server.kill()
    await Promise.all([state(desk, 'connecting'), state(phone, 'connecting')])
    await server.start()
    await Promise.all([state(desk, 'live'), state(phone, 'live')])
    await seen(name)
  }
  await complete()
})

step('a list that is paused holds what came, and shows it once', async () => {
  const { page } = desk
  const before = await shown(desk)
  await page.getByRole('button', { name: 'Pause' }).click()
  await server.stop()
  happens('gus')
  await server.start()
  await state(phone, 'live')
  await row(phone, 'gus').waitFor()
  happens('hal')
  await row(phone, 'hal').waitFor()
  await complete(phone)
  // More than these two happened, and all of it is held: a broadcaster has a channel, too.
  await page.waitForFunction(async (shown) => {
    const { count } = await (await fetch('/api/archive/events?limit=100')).json()
    return document.querySelector('button.new')?.textContent === `${count - shown} new events`
  }, before.length)
  assert.deepEqual(await shown(desk), before)
  await desk.shootBoth('paused')
  await page.getByRole('button', { name: /new events/ }).click()
  await seen('gus')
  await complete()
})

step('neither page was loaded again', async () => {
  assert.deepEqual([desk.loads(), phone.loads()], loads)
  const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth)
  assert.ok(wide <= 390, `the page is ${wide} px wide on a phone`)
  await phone.shoot('end')
})

noErrors()
