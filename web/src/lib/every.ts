// Time that goes on while something is shown, in milliseconds.

import { untrack } from 'svelte'

/**
 * Calls work now and then while the page is visible, and when it is visible again,
 * until the returned function is called. A call begins when the one before is over.
 * What ms and work read is not what an effect around it depends on.
 */
export function every(ms: () => number, work: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let working = false
  let over = false
  const hidden = () => document.visibilityState === 'hidden'
  const plan = () => {
    clearTimeout(timer)
    if (!over && !hidden()) timer = setTimeout(look, untrack(ms))
  }
  const look = () => {
    clearTimeout(timer)
    if (over || working || hidden()) return
    working = true
    void untrack(work).finally(() => {
      working = false
      plan()
    })
  }
  document.addEventListener('visibilitychange', look)
  plan()
  return () => {
    over = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', look)
  }
}
