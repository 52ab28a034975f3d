// Which page a path is. Pure, so that tests need no browser.

export type PageName =
  | 'home'
  | 'live'
  | 'watch'
  | 'broadcast'
  | 'signin'
  | 'signup'
  | 'confirm'
  | 'setup'
  | 'my-videos'
  | 'my-video'
  | 'my-channel'
  | 'admin'
  | 'users'
  | 'rules'
  | 'rule'
  | 'events'
  | 'replays'
  | 'dead-letters'
  | 'simulations'
  | 'simulation'
  | 'flows'
  | 'flow'
  | 'not-found'

export interface Match {
  page: PageName
  params: Record<string, string>
}

const routes: [string, PageName][] = [
  ['/', 'home'],
  ['/live/:channel', 'live'],
  ['/watch/:id', 'watch'],
  ['/broadcast', 'broadcast'],
  ['/signin', 'signin'],
  ['/signup', 'signup'],
  ['/confirm', 'confirm'],
  ['/setup', 'setup'],
  ['/my/videos', 'my-videos'],
  ['/my/videos/:id', 'my-video'],
  ['/my/channel', 'my-channel'],
  ['/admin', 'admin'],
  ['/admin/users', 'users'],
  ['/admin/rules', 'rules'],
  ['/admin/rules/:id', 'rule'],
  ['/admin/events', 'events'],
  ['/admin/events/replays', 'replays'],
  ['/admin/events/dead-letters', 'dead-letters'],
  ['/admin/simulations', 'simulations'],
  ['/admin/simulations/:id', 'simulation'],
  ['/admin/flows', 'flows'],
  ['/admin/flows/:id', 'flow'],
]

/** Finds the page of a path; a slash at the end makes no difference. */
export function match(path: string): Match {
  const parts = split(path)
  for (const [pattern, page] of routes) {
    const params = against(split(pattern), parts)
    if (params) return { page, params }
  }
  return { page: 'not-found', params: {} }
}

function split(path: string): string[] {
  return path.split('/').filter(Boolean)
}

function against(pattern: string[], parts: string[]): Record<string, string> | null {
  if (pattern.length !== parts.length) return null
  const params: Record<string, string> = {}
  for (const [i, want] of pattern.entries()) {
    const part = parts[i] as string
    if (!want.startsWith(':')) {
      if (want !== part) return null
      continue
    }
    try {
      params[want.slice(1)] = decodeURIComponent(part)
    } catch {
      return null // a broken escape names nothing
    }
  }
  return params
}

/** Where to go after signing in: a path of this site, never another site. */
export function safeNext(next: string | null | undefined): string {
  if (!next || !next.startsWith('/') || next.startsWith('//') || next.includes('\\')) return '/'
  return next
}

interface Click {
  button: number
  metaKey: boolean
  ctrlKey: boolean
  shiftKey: boolean
  altKey: boolean
  defaultPrevented: boolean
}

interface Link {
  href: string
  target: string
  download: string
  rel: string
}

/** Whether a click on a link is the app's to handle, and on which path. */
export function ownPath(event: Click, link: Link, origin: string): string | null {
  if (event.defaultPrevented || event.button !== 0) return null
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return null
  if (link.target && link.target !== '_self') return null
  if (link.download || link.rel.includes('external')) return null
  const url = new URL(link.href)
  if (url.origin !== origin) return null
  if (match(url.pathname).page === 'not-found') return null
  return url.pathname + url.search + url.hash
}
