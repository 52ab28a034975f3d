// A story: steps that build on each other, told by one program and one browser.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openPage, startBrowser } from './browser.mjs'
import { startServer } from './server.mjs'

/**
 * Starts the program with these flags and a browser, and prepares the rest, before the first step; ends both after the last.
 * failpoints say where the program fails until it is started again.
 */
export function story(flags, prepare, { failpoints } = {}) {
  const pages = []
  let failed = false
  const it = {
    server: null,
    browser: null,
    /** Opens a page that is shown when a step fails. */
    async open(context, name) {
      const page = await openPage(context, name)
      pages.push(page)
      return page
    },
    /** One step: after one that failed, the rest makes no sense. */
    step(name, does) {
      test(name, async (t) => {
        if (failed) return t.skip('a step before failed')
        try {
          await does(t)
        } catch (error) {
          failed = true
          await Promise.all(pages.map((page) => page.shoot('failed').catch(() => {})))
          error.message += `\n\nwhat the server logged last:\n${it.server?.log().slice(-3000)}`
          throw error
        }
      })
    },
    /** The last step of all. */
    noErrors() {
      it.step('no page had an error', () => {
        for (const { errors } of pages) assert.deepEqual(errors.filter((error) => !/^WebSocket connection/.test(error)), [])
      })
    },
  }

  before(async () => {
    it.server = await startServer(flags, failpoints)
    it.browser = await startBrowser()
    await prepare(it)
  })

  after(async () => {
    await it.browser?.close()
    if (!it.server) return
    const code = await it.server.stop()
    it.server.remove()
    assert.equal(code, 0, 'serve ends with 0 after SIGTERM')
  })
  return it
}
