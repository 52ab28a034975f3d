import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { every } from './every'

/** A document that is shown and hidden by the test. */
function page() {
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  vi.stubGlobal('document', document)
  return (visible: boolean) => {
    document.visibilityState = visible ? 'visible' : 'hidden'
    document.dispatchEvent(new Event('visibilitychange'))
  }
}

/** Work that ends when the test says so. */
function slow() {
  const ends: (() => void)[] = []
  const work = vi.fn(() => new Promise<void>((resolve) => ends.push(resolve)))
  const end = async () => {
    ends.shift()!()
    await vi.advanceTimersByTimeAsync(0)
  }
  return { work, end }
}

const soon = () => vi.advanceTimersByTimeAsync(1000)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

it('waits for the end of one before it plans the next', async () => {
  page()
  const { work, end } = slow()
  const stop = every(() => 1000, work)
  expect(work).not.toHaveBeenCalled()
  await soon()
  await soon()
  expect(work).toHaveBeenCalledTimes(1)
  await end()
  await soon()
  expect(work).toHaveBeenCalledTimes(2)
  stop()
})

it('stays one chain when the page is shown while work goes on', async () => {
  const show = page()
  const { work, end } = slow()
  const stop = every(() => 1000, work)
  await soon()
  for (const visible of [false, true, false, true]) show(visible)
  expect(work).toHaveBeenCalledTimes(1)
  await end()
  expect(vi.getTimerCount()).toBe(1)
  await soon()
  expect(work).toHaveBeenCalledTimes(2)
  stop()
})

it('does nothing while hidden, and looks at once when shown', async () => {
  const show = page()
  const work = vi.fn(async () => {})
  const stop = every(() => 1000, work)
  show(false)
  await soon()
  await soon()
  expect(work).not.toHaveBeenCalled()
  show(true)
  expect(work).toHaveBeenCalledTimes(1)
  await soon()
  expect(work).toHaveBeenCalledTimes(2)
  stop()
})

it('ends, also in the middle of work', async () => {
  const show = page()
  const { work, end } = slow()
  const stop = every(() => 1000, work)
  await soon()
  stop()
  show(true)
  await end()
  await soon()
  expect(work).toHaveBeenCalledTimes(1)
  expect(vi.getTimerCount()).toBe(0)
})
