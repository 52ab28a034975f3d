// The HTTP of WHIP (RFC 9725) and WHEP: an offer goes out, an answer and the
// session's address come back.

import { ApiError, errorOf } from '../api/client'
import { iceServersOf } from './ice'
import { hasCandidates } from './sdp'

export interface Answered {
  /** The session's URL. */
  resource: string
  /** Of this ICE session, for an ICE restart; "" when the server takes none. */
  etag: string
  answer: string
  iceServers: RTCIceServer[]
}

/** Longest wait for the server's answer, in milliseconds. */
export const answering = 12_000

/** Posts an offer. Rejects with an ApiError whose message says what is wrong. */
export async function exchange(fetcher: typeof fetch, endpoint: string, offer: string): Promise<Answered> {
  if (!hasCandidates(offer)) {
    throw new ApiError(0, 'The browser found no network to send over. Check your connection and try again.')
  }
  let response: Response
  try {
    response = await fetcher(endpoint, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp' },
      body: offer,
      signal: AbortSignal.timeout(answering),
    })
  } catch {
    throw new ApiError(0, 'The server cannot be reached. Check your connection and try again.')
  }
  if (response.status !== 201) throw await errorOf(response)
  return {
    resource: resourceURL(response, endpoint),
    etag: response.headers.get('ETag') ?? '',
    answer: await response.text(),
    iceServers: iceServersOf(response.headers.get('Link')),
  }
}

/** The session's URL: the Location header, relative to where the answer came from. */
export function resourceURL(response: { headers: Headers; url: string }, endpoint: string): string {
  const place = response.headers.get('Location')
  if (!place) throw new ApiError(0, 'The server gave the session no address (its answer has no Location).')
  const base = response.url || new URL(endpoint, globalThis.location?.href ?? 'http://localhost/').href
  return new URL(place, base).href
}

/** Ends a session. The request outlives the page (keepalive), so that it ends at once also when the page is closed. */
export function release(fetcher: typeof fetch, resource: string): Promise<void> {
  return fetcher(resource, { method: 'DELETE', keepalive: true, credentials: 'same-origin' }).then(
    () => {},
    () => {}, // the server notices by itself that nothing comes or goes any more
  )
}
