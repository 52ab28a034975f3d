// The users as an admin sees them: one is looked for, suspended with a reason, let
// in again and deleted, and notices each of it.
import assert from 'node:assert/strict'
import { api, signIn } from './steps.mjs'
import { story } from './story.mjs'

const root = { email: 'root@example.com', password: 'a sentence to remember' }
const ada = { email: 'ada@example.com', password: 'another sentence to remember' }
const why = 'Music that is not yours. Write to the office when it is gone.'

let server, desk, phone, studio
/** The users by how they are called here. */
const users = {}
const loads = new Map()

const { step, noErrors } = story([], async ({ server: started, browser, open }) => {
  server = started
  users.root = server.addUser(root.email, root.password, 'admin')
  users.vic = server.addUser('vic@example.com', ada.password, 'viewer')
  users.ada = server.addUser(ada.email, ada.password, 'broadcaster')
  const at = (width, height, colorScheme) => browser.newContext({ viewport: { width, height }, colorScheme, ...(width < 720 && { isMobile: true, hasTouch: true }) })
  desk = await open(await at(1280, 900, 'light'), 'users-desk')
  phone = await open(await at(390, 844, 'dark'), 'users-phone')
  studio = await open(await at(1280, 900, 'dark'), 'users-ada')
  await signIn(desk, server.url, root, '/admin')
  await signIn(phone, server.url, root, '/admin/users')
  await signIn(studio, server.url, ada, '/my/channel')
  for (const one of [desk, phone, studio]) loads.set(one, one.loads())
})

const name = (who) => users[who].username
const row = ({ page }, who) => page.locator(`[data-user="${users[who].id}"]`)
const rows = ({ page }) => page.locator('[data-user]')
const notice = ({ page }, text) => page.getByRole('region', { name: 'Notices' }).getByText(text)
const focused = ({ page }) => page.evaluate(() => document.activeElement.textContent.replace(/\s+/g, ' ').trim())
const status = (path) => fetch(server.url + path).then((answer) => answer.status)

/** Fills in the sign-in page that is open. */
async function tryToSignIn({ page }, { email, password }) {
  await page.getByLabel('E-mail').fill(email)
  await page.getByRole('textbox', { name: 'Password' }).fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

step('an admin sees everybody, and nothing to do to themselves', async () => {
  const { page } = desk
  await page.getByRole('link', { name: 'Users', exact: true }).click()
  await row(desk, 'vic').waitFor()
  for (const user of (await api(page, '/api/admin/users')).data) Object.values(users).find(({ id }) => id === user.id).username = user.username
  assert.deepEqual(await rows(desk).evaluateAll((all) => all.map((one) => one.dataset.user)), ['ada', 'vic', 'root'].map((who) => users[who].id))
  await row(desk, 'root').getByText('You', { exact: true }).waitFor()
  assert.equal(await row(desk, 'root').getByRole('button').count(), 0)
  assert.equal(await row(desk, 'vic').getByRole('link').count(), 0, 'a viewer has no channel')
  assert.equal(await row(desk, 'ada').getByRole('link', { name: `Channel of ${name('ada')}` }).getAttribute('href'), `/live/${users.ada.id}`)
  await desk.shootBoth('all')
  assert.equal(await page.evaluate((id) => fetch(`/api/admin/users/${id}`, { method: 'DELETE' }).then((answer) => answer.status), users.root.id), 409)
})

step('they look for somebody', async () => {
  const { page } = desk
  const search = page.getByLabel('User name or e-mail address')
  await search.fill('ADA@exa')
  await row(desk, 'vic').waitFor({ state: 'detached' })
  assert.equal(await rows(desk).count(), 1)
  await search.fill('nobody%')
  await page.getByText('No user is like that').first().waitFor()
  await desk.shoot('none')
  await page.getByRole('button', { name: 'Show all' }).click()
  await row(desk, 'vic').waitFor()
  await page.getByLabel('Suspended only').check()
  await page.getByText('Nobody is suspended').waitFor()
  await page.getByLabel('Suspended only').uncheck()
  await row(desk, 'ada').waitFor()
})

step('they suspend them with a reason, by the keyboard', async () => {
  const { page } = desk
  await row(desk, 'ada').getByRole('button', { name: `Suspend ${name('ada')}` }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: `Suspend ${name('ada')}?` }).waitFor()
  await page.keyboard.type(why)
  await desk.shootBoth('suspend')
  await page.keyboard.press('Escape')
  assert.equal(await focused(desk), `Suspend ${name('ada')}`)
  assert.equal(await row(desk, 'ada').getAttribute('data-suspended'), 'false')
  await page.keyboard.press('Enter')
  await page.getByLabel('Reason').fill(why)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await notice(desk, `${name('ada')} is suspended.`).waitFor()
  await row(desk, 'ada').getByText(`Suspended just now: ${why}`).waitFor()
  assert.equal(await focused(desk), `Let in again ${name('ada')}`)
  await desk.shootBoth('suspended')
})

step('the one suspended is signed out, and told why when they sign in', async () => {
  const { page } = studio
  await page.getByRole('heading', { name: 'Sign in first' }).waitFor()
  await notice(studio, 'You were signed out.').waitFor()
  await studio.shoot('signed-out')
  await page.getByRole('main').getByRole('link', { name: 'Sign in' }).click()
  await tryToSignIn(studio, { ...ada, password: 'a wrong password' })
  await page.getByText('password is wrong').waitFor()
  assert.equal(await page.getByText('suspended').count(), 0, 'only who has the password learns of it')
  await tryToSignIn(studio, ada)
  await page.getByText(`account is suspended: ${why}`).waitFor()
  await studio.shootBoth('refused')
})

step('another reason is told from then on', async () => {
  const { page } = desk
  await row(desk, 'ada').getByRole('button', { name: `Reason for ${name('ada')}` }).click()
  assert.equal(await page.getByLabel('Reason', { exact: false }).inputValue(), why)
  await desk.shoot('reason')
  await page.getByLabel('Reason').fill('Until Friday.')
  await page.getByRole('button', { name: 'Save' }).click()
  await row(desk, 'ada').getByText(': Until Friday.').waitFor()
  await tryToSignIn(studio, ada)
  await studio.page.getByText('account is suspended: Until Friday.').waitFor()
})

step('they are let in again, on a phone', async () => {
  const { page } = phone
  await page.getByLabel('Suspended only').check()
  await row(phone, 'ada').waitFor()
  await row(phone, 'vic').waitFor({ state: 'detached' })
  await phone.shoot('suspended')
  const wide = await page.evaluate(() => document.documentElement.scrollWidth)
  assert.ok(wide <= 390, `the page is ${wide} px wide on a phone`)
  await row(phone, 'ada').getByRole('button', { name: `Let in again ${name('ada')}` }).click()
  await notice(phone, `${name('ada')} may sign in again.`).waitFor()
  await page.getByText('Nobody is suspended').waitFor()
  assert.equal(await focused(phone), 'Users')
  await phone.shoot('nobody')
  await tryToSignIn(studio, ada)
  await studio.page.waitForURL('**/my/channel')
  await studio.page.getByRole('heading', { name: name('ada') }).waitFor()
  assert.equal(await status(`/api/channel/${users.ada.id}`), 200)
})

step('their account is deleted, once their name is typed', async () => {
  const { page } = phone
  await page.getByRole('button', { name: 'Show all' }).click()
  await row(phone, 'ada').getByRole('button', { name: `Delete ${name('ada')}` }).click()
  const dialog = page.getByRole('dialog', { name: `Delete ${name('ada')}?` })
  const button = dialog.getByRole('button', { name: 'Delete for good' })
  assert.ok(await button.isDisabled())
  await dialog.getByLabel('To go on').fill(name('vic'))
  await page.keyboard.press('Enter')
  assert.ok(await button.isDisabled())
  assert.ok(await dialog.isVisible())
  await phone.shoot('delete')
  await dialog.getByLabel('To go on').fill(ada.email)
  await phone.shoot('delete-typed')
  await button.click()
  await row(phone, 'ada').waitFor({ state: 'detached' })
  await notice(phone, `${name('ada')} is deleted.`).waitFor()
  assert.ok((await focused(phone)).includes(name('vic')), 'the focus is on who comes next')
  await phone.shoot('deleted')
  await row(desk, 'ada').waitFor({ state: 'detached' })
})

step('nothing is left of them: no session, no channel', async () => {
  const { page } = studio
  await page.getByRole('heading', { name: 'Sign in first' }).waitFor()
  // The channel hears of it by an event.
  await page.waitForFunction((path) => fetch(path).then((answer) => answer.status === 404), `/api/channel/${users.ada.id}`)
  assert.deepEqual((await api(desk.page, '/api/admin/users')).data.map(({ id }) => id), [users.vic.id, users.root.id])
  await page.getByRole('main').getByRole('link', { name: 'Sign in' }).click()
  await tryToSignIn(studio, ada)
  await page.getByText('password is wrong').waitFor()
  for (const one of [desk, phone, studio]) assert.equal(one.loads(), loads.get(one), 'a page was loaded again')
})

noErrors()
