// The app's router over the history API.

import { match, ownPath, type Match } from './routes'

class Router {
  path = $state(location.pathname)
  query = $state(new URLSearchParams(location.search))
  match = $derived<Match>(match(this.path))

  #guard: (() => boolean) | null = null

  /** Listens for clicks on links and for the back button. */
  start(): void {
    addEventListener('popstate', () => {
      if (!this.#mayLeave()) {
        history.pushState(null, '', this.path)
        return
      }
      this.#read()
    })
    document.addEventListener('click', (event) => {
      const link = (event.target as Element | null)?.closest?.('a[href]') as HTMLAnchorElement | null
      if (!link) return
      const path = ownPath(event, link, location.origin)
      if (path === null) return
      event.preventDefault()
      this.go(path)
    })
  }

  go(path: string, options: { replace?: boolean } = {}): void {
    if (!this.#mayLeave()) return
    if (options.replace) history.replaceState(null, '', path)
    else if (path !== location.pathname + location.search) history.pushState(null, '', path)
    this.#read()
    scrollTo({ top: 0, behavior: 'instant' })
  }

  /** Asks ask() before the page is left; it answers whether it may be. */
  guard(ask: () => boolean): () => void {
    this.#guard = ask
    return () => {
      if (this.#guard === ask) this.#guard = null
    }
  }

  #mayLeave(): boolean {
    return this.#guard === null || this.#guard()
  }

  #read(): void {
    this.path = location.pathname
    this.query = new URLSearchParams(location.search)
  }
}

export const router = new Router()
