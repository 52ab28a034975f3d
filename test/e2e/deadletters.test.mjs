// Something of the server cannot handle what it hears: an admin sees it, mends the
// cause, and gives the events to that part once more.
import assert from 'node:assert/strict'
import { api, signIn } from './steps.mjs'
import { story } from './story.mjs'

const root = { email: 'root@example.com', password: 'a sentence to remember' }
const why = 'the table of the rules is locked'

let server, desk, phone, rule

const { step, noErrors } = story(
  [],
  async ({ server: started, browser, open }) => {
    server = started
    server.addUser(root.email, root.password, 'admin')
    desk = await open(await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' }), 'letters-desk')
    phone = await open(await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }), 'letters-phone')
    await signIn(desk, server.url, root, '/admin/events/dead-letters')
    await signIn(phone, server.url, root, '/admin/rules')
  },
  { failpoints: `bus.tries=value:3;consumer.handle(rules&BroadcastUserCreated)=error:${why}` },
)

const happens = (name) => server.addUser(`${name}@example.com`, 'another sentence to remember', 'broadcaster')
const rows = ({ page }) => page.locator('[data-letter]')
const notice = ({ page }, text) => page.getByRole('region', { name: 'Notices' }).getByText(text)
const delivered = async () => (await api(desk.page, `/api/rules/${rule}/deliveries`)).data.map(({ state }) => state)

step('there are none, and the page says so', async () => {
  await desk.page.getByText('No dead letters').waitFor()
  rule = await desk.page.evaluate(async () => {
    const made = await fetch('/api/rules', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Note broadcasters', enabled: true, pattern: '{"detail-type":["BroadcastUserCreated"]}', target: { type: 'log' } }),
    })
    return made.json()
  })
  assert.ok(rule.id, JSON.stringify(rule))
  rule = rule.id
})

step('events that cannot be handled show up by themselves, with the reason, and are counted on every page', async () => {
  const loaded = desk.loads()
  for (const name of ['ada', 'bob']) happens(name)
  await rows(desk).nth(1).waitFor()
  assert.equal(await rows(desk).filter({ hasText: why }).filter({ hasText: 'rules' }).count(), 2)
  await phone.page.getByRole('link', { name: 'Flows', exact: true }).click()
  await phone.page.getByRole('link', { name: 'Dead letters 2' }).waitFor()
  await phone.shoot('count')
  assert.equal(desk.loads(), loaded, 'the page was not loaded again')
  assert.deepEqual(await delivered(), [])
})

step('the event can be read, by the keyboard too', async () => {
  await rows(desk).last().getByRole('button', { name: 'Event' }).focus()
  await desk.page.keyboard.press('Enter')
  await desk.page.getByLabel('Event', { exact: true }).getByText(/(ada|bob)@example.com/).waitFor() // whichever was put away first
  await desk.shootBoth('event')
})

step('while the cause is there, a letter stays', async () => {
  await rows(desk).last().getByRole('button', { name: 'Redrive' }).click()
  await notice(desk, why).waitFor()
  assert.equal(await rows(desk).count(), 2)
  await desk.shootBoth('stays')
})

step('when it is mended, a letter is handled and goes', async () => {
  assert.equal(await server.stop(), 0)
  await server.start()
  await rows(desk).last().getByRole('button', { name: 'Redrive' }).click()
  await notice(desk, 'rules has handled it.').waitFor()
  await rows(desk).nth(1).waitFor({ state: 'detached' })
  await desk.page.getByRole('link', { name: 'Dead letters 1' }).waitFor()
  await desk.page.waitForFunction((path) => fetch(path).then(async (answer) => (await answer.json()).data[0]?.state === 'delivered'), `/api/rules/${rule}/deliveries`)
  assert.deepEqual(await delivered(), ['delivered'])
})

step('the other one is deleted, on a phone', async () => {
  const { page } = phone
  await page.getByRole('link', { name: /^Dead letters/ }).click()
  await rows(phone).waitFor()
  await phone.shoot('list')
  const wide = await page.evaluate(() => document.documentElement.scrollWidth)
  assert.ok(wide <= 390, `the page is ${wide} px wide on a phone`)
  await page.getByRole('button', { name: 'Delete BroadcastUserCreated of rules' }).click()
  await phone.shoot('delete')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No dead letters').waitFor()
  await desk.page.getByText('No dead letters').waitFor()
  assert.deepEqual(await delivered(), ['delivered'])
})

noErrors()
