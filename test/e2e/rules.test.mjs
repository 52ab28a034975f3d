// The pages of the event rules: an admin makes rules, sees what became of their
// events, and takes care of the dead letters.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after } from 'node:test'
import { createServer } from 'node:http'
import { signIn } from './steps.mjs'
import { story } from './story.mjs'

const root = { email: 'root@example.com', password: 'a sentence to remember' }

let server, desk, phone, secret
let works = false
/** What the other end of the webhook got. */
const calls = []
const receiver = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (chunk) => (body += chunk))
  request.on('end', () => {
    calls.push({ headers: request.headers, body })
    response.statusCode = works ? 204 : 503
    response.end(works ? undefined : 'out to lunch')
  })
})
after(() => receiver.close())

const { step, noErrors } = story(['--rules-allow-networks', '127.0.0.1/32'], async ({ server: started, browser, open }) => {
  server = started
  await new Promise((done) => receiver.listen(0, '127.0.0.1', done))
  server.addUser(root.email, root.password, 'admin')
  desk = await open(await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' }), 'rules-desk')
  phone = await open(await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }), 'rules-phone')
  for (const page of [desk, phone]) await signIn(page, server.url, root, '/admin/rules')
})

/** Something happens that rules hear of. */
const happens = (name) => server.addUser(`${name}@example.com`, 'another sentence to remember', 'broadcaster')
const rows = (state) => desk.page.locator(`li[data-state=${state}]`)

step('a bad pattern is refused with its place, which the caret goes to', async () => {
  const { page } = desk
  await page.getByText('No rules yet').waitFor()
  await page.getByRole('link', { name: 'New rule' }).click()
  await page.getByLabel('Name').fill('Tell the office')
  await page.getByLabel('Pattern').fill('{\n  "source": ["serverlessVideo.auth"],\n  "detail-type": "BroadcastUserCreated"\n}')
  await page.getByLabel('URL').fill(`http://127.0.0.1:${receiver.address().port}/hook`)
  await page.getByLabel('Most tries').fill('1')
  await page.getByRole('button', { name: 'Make the rule' }).click()
  await page.getByText('Line 3, column 18, at detail-type').waitFor()
  assert.equal(await page.evaluate(() => document.activeElement.value.slice(0, document.activeElement.selectionStart).split('\n').length), 3)
  await desk.shootBoth('bad-pattern')
})

step('it is made, and its secret is shown once', async () => {
  const { page } = desk
  await page.getByLabel('Pattern').fill('{\n  "source": ["serverlessVideo.auth"],\n  "detail-type": ["BroadcastUserCreated"]\n}')
  await page.getByRole('button', { name: 'Make the rule' }).click()
  await page.getByRole('heading', { name: 'Signing secret' }).waitFor()
  secret = await page.getByRole('textbox', { name: 'Secret' }).inputValue()
  assert.match(secret, /^whsec_/)
  await page.getByRole('link', { name: 'I have copied it' }).click()
  await page.getByRole('link', { name: 'Tell the office' }).click()
  await page.getByText('As soon as an event matches').waitFor()
  assert.equal(await page.getByText(secret).count(), 0)
})

step('deliveries show up by themselves, and become dead letters', async () => {
  const loaded = desk.loads()
  happens('ada')
  await rows('dead').getByText('503 Service Unavailable: out to lunch').waitFor()
  await rows('dead').getByRole('button', { expanded: false }).click()
  await desk.page.getByLabel('Event', { exact: true }).getByText('ada@example.com').waitFor()
  await desk.shootBoth('dead')
  assert.equal(desk.loads(), loaded, 'the page was not loaded again')
})

step('a dead letter is redriven and arrives, signed, under the same id', async () => {
  works = true
  await desk.page.getByRole('button', { name: 'Redrive BroadcastUserCreated' }).click()
  await rows('delivered').getByText('204 in').waitFor()
  assert.equal(calls.length, 2)
  const [first, second] = calls
  assert.equal(second.headers['webhook-id'], first.headers['webhook-id'])
  assert.equal(second.body, first.body)
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  for (const { headers, body } of calls) {
    const signature = createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64')
    assert.equal(headers['webhook-signature'], `v1,${signature}`)
  }
})

step('the list counts dead letters, and they are purged', async () => {
  const { page } = desk
  works = false
  happens('bob')
  await rows('dead').waitFor()
  await phone.page.goto(`${server.url}/admin/rules`)
  await phone.page.getByText('1 dead').waitFor()
  await phone.shoot('list')
  await page.getByRole('button', { name: 'Purge dead letters' }).first().click()
  await page.getByRole('dialog').getByRole('button', { name: 'Purge dead letters' }).click()
  await rows('dead').waitFor({ state: 'detached' })
  assert.equal(await rows('delivered').count(), 1)
  await page.getByLabel('Show').selectOption('Dead letters')
  await page.getByText('No dead letters').waitFor()
})

step('a rule with another target: its fields, and what is wrong with them', async () => {
  const { page } = phone
  await page.goto(`${server.url}/admin/rules/new`)
  await page.getByLabel('Name').fill('Tag the tour')
  await page.getByLabel('Target').selectOption('A plugin')
  await page.getByText('No plugin takes events yet').waitFor()
  await page.getByLabel('Target').selectOption('Start work on the video')
  assert.equal(await page.getByLabel('Work').inputValue(), 'postprocess')
  await page.getByLabel('Target').selectOption('Event tag for the video')
  await page.getByLabel('Event tag', { exact: true }).fill('summer tour')
  await page.getByRole('button', { name: 'Make the rule' }).click()
  await page.getByText('it is made of letters, digits, - and _').waitFor()
  assert.equal(await page.evaluate(() => document.activeElement.value), 'summer tour', 'the wrong field has the focus')
  await phone.shoot('tag')
  await page.getByLabel('Event tag', { exact: true }).fill('summer-tour-26')
  await page.getByRole('button', { name: 'Make the rule' }).click()
  await page.getByText('As soon as an event matches').waitFor()
  assert.equal(await page.getByLabel('Event tag', { exact: true }).inputValue(), 'summer-tour-26')
  await page.goto(`${server.url}/admin/rules`)
  await page.getByText('Tag summer-tour-26').waitFor()
})

step('a rule is switched off, hears nothing, and is deleted', async () => {
  const { page } = desk
  await page.goto(`${server.url}/admin/rules`)
  await page.getByRole('switch', { name: 'Tell the office is on' }).click()
  await page.locator('[data-rule]').filter({ hasText: 'Tell the office' }).getByRole('switch', { checked: false }).waitFor()
  await desk.shootBoth('list')
  const before = calls.length
  happens('cleo')
  await page.getByRole('link', { name: 'Tell the office' }).click()
  await rows('delivered').waitFor()
  await page.getByRole('button', { name: 'Delete' }).first().click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete rule' }).click()
  await page.getByRole('link', { name: 'Tag the tour' }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'Tell the office' }).count(), 0)
  assert.equal(calls.length, before)
})

noErrors()
