// Addresses of pictures that are made anew under the same name.

/** Milliseconds for which one address is used: so that caches in between can serve many viewers. */
const bucket = 30_000

/** The address with the time in it, so that no older picture comes from a cache. */
export function freshURL(url: string, now: number): string {
  return `${url}${url.includes('?') ? '&' : '?'}t=${Math.floor(now / bucket)}`
}
