// An admin follows the flows of a recording, retries one that failed and cancels it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { publishers } from './publisher.mjs'
import { api, signIn } from './steps.mjs'
import { story } from './story.mjs'

const root = { email: 'root@example.com', password: 'a sentence to remember' }
const dir = mkdtempSync(join(tmpdir(), 'silent-plugin-'))
const manifest = join(dir, 'plugin.json')
// A validator that nobody runs: it never answers.
writeFileSync(manifest, JSON.stringify({ name: 'silent_plugin', description: 'does not answer', eventHook: 'preValidate', time_limit: 12 }))

let server, channel, publisher, desk, phone, video

const { step, noErrors } = story(['--bus-listen', '127.0.0.1:0', '--plugins', `${manifest}=a-secret-of-sixteen-or-more`], async ({ server: started, browser, open }) => {
  server = started
  channel = server.addUser('nora@example.com', root.password, 'broadcaster').channel
  server.addUser(root.email, root.password, 'admin')
  desk = await open(await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' }), 'flows-desk')
  phone = await open(await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }), 'flows-phone')
  publisher = publishers(server)
})
after(async () => {
  await publisher?.close()
  rmSync(dir, { recursive: true, force: true })
})

const row = (status) => desk.page.locator(`[data-flow^="life-"][data-status=${status}]`)
const status = (page, wanted) => page.locator(`h1 + [data-status=${wanted}]`).waitFor({ timeout: 60_000 })

step('the list shows a flow as it begins, without a reload', async () => {
  await signIn(desk, server.url, root, '/admin/flows')
  await desk.page.getByRole('heading', { name: 'No flows yet' }).waitFor()
  await publisher.whip(channel, '-duration', '12s').ended
  await row('running').waitFor({ timeout: 60_000 })
  await row('running').getByText('Wait for the plugins of preValidate').waitFor()
  video = (await api(desk.page, '/api/flows?name=lifecycle')).data[0].video
  await desk.shoot('list')
})

step('its page follows it, and says what it waits for', async () => {
  await row('running').getByRole('link').click()
  const { page } = desk
  await status(page, 'running')
  await page.locator('[aria-current=step]').getByText('Wait for the plugins of preValidate').waitFor()
  await desk.shoot('waits')
  await signIn(phone, server.url, root, `/admin/flows/life-${video}`)
  await phone.page.locator('[aria-current=step]').waitFor()
  await phone.shoot('waits')
  // The plugin does not answer: the lifecycle is over, and the video failed.
  await status(page, 'done')
  await page.getByText('Video failed').waitFor()
  assert.equal(await page.locator('[data-step="preValidate settle 1"][data-state=done]').count(), 1)
  assert.equal((await api(page, `/api/video/${video}`)).status, 'failed')
  const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth)
  assert.ok(wide <= 390, `the page is ${wide} px wide on a phone`)
  await phone.shoot('ended')
})

step('a retry is a new attempt, which can be cancelled', async () => {
  const { page } = desk
  const summary = page.locator('[data-step="preValidate ask"] summary')
  await summary.focus()
  await page.keyboard.press('Enter')
  await page.locator('[data-step="preValidate ask"] pre').waitFor()
  await desk.shoot('output')
  await page.getByRole('button', { name: 'Retry' }).click()
  await page.getByRole('dialog').getByText(`life-${video}.2`).waitFor()
  await desk.shoot('retry')
  await page.getByRole('dialog').getByRole('button', { name: 'Retry' }).click()
  await page.waitForURL(`**/admin/flows/life-${video}.2`)
  await page.getByRole('heading', { name: 'Plugin lifecycle, attempt 2' }).waitFor()
  await status(page, 'running')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the flow' }).click()
  await status(page, 'cancelled')
  await desk.shoot('cancelled')
})

step('a flow that was cancelled is retried from a phone', async () => {
  const { page } = phone
  await page.goto(`${server.url}/admin/flows/life-${video}.2`)
  await status(page, 'cancelled')
  await page.getByRole('button', { name: 'Retry' }).click()
  // Within a minute nobody was told that it failed, and the flow itself goes on.
  const dialog = page.getByRole('dialog')
  const again = (await dialog.textContent()).includes('its own id') ? 2 : 3
  await phone.shoot('retry')
  await dialog.getByRole('button', { name: 'Retry' }).click()
  await page.waitForURL(`**/admin/flows/life-${video}.${again}`)
  await page.locator('h1 + [data-status=cancelled]').waitFor({ state: 'detached' })
  await status(page, 'done')
  await page.getByText('Video failed').waitFor()
  await page.getByRole('button', { name: 'Retry' }).waitFor()
})

step('the list is searched and filtered', async () => {
  const { page } = desk
  await page.getByRole('link', { name: 'All flows' }).click()
  await page.getByRole('searchbox', { name: 'Video or flow' }).fill(`post-${video}`)
  await page.locator(`[data-flow="post-${video}"]`).waitFor()
  await page.locator('[data-flow^="life-"]').first().waitFor({ state: 'detached' })
  await page.getByRole('searchbox', { name: 'Video or flow' }).fill(video)
  await page.locator(`[data-flow="life-${video}"]`).waitFor()
  await page.getByRole('group', { name: 'Show flows by status' }).getByRole('button', { name: /Failed/ }).click()
  await page.getByRole('heading', { name: 'No flow is like that' }).waitFor()
  await page.getByRole('button', { name: 'Show all' }).click()
  await page.locator('[data-flow^="post-"]').waitFor()
  await desk.shootBoth('filtered')
})

noErrors()
