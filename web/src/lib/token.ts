// One-time tokens come in the fragment of a link (#token=…), which browsers
// never send to servers or write into their logs.

/** Reads the token of this page's address and takes it out of there, so that it stays in no history. */
export function takeToken(): string {
  const token = tokenIn(location.hash, location.search)
  if (token) history.replaceState(history.state, '', location.pathname)
  return token
}

export function tokenIn(hash: string, search: string): string {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') || new URLSearchParams(search).get('token') || ''
}
