// Time that goes on while something is shown, in milliseconds.

/** Calls work now and then while visible, until the returned function is called. */
export function every(ms: () => number, work: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let over = false
  const plan = () => {
    if (!over) timer = setTimeout(look, ms())
  }
  const look = () => {
    if (document.visibilityState === 'hidden') return plan()
    work().finally(plan)
  }
  const shown = () => {
    if (document.visibilityState === 'hidden' || over) return
    clearTimeout(timer)
    look()
  }
  document.addEventListener('visibilitychange', shown)
  plan()
  return () => {
    over = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', shown)
  }
}
