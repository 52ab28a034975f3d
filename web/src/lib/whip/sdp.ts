// The little of SDP (RFC 8866) that a WHIP client has to know.

/** The ICE credentials of a description; RFC 9725 §4.3 wants them in each PATCH. */
export function iceCredentials(sdp: string): { ufrag: string; pwd: string } {
  return { ufrag: attribute(sdp, 'ice-ufrag'), pwd: attribute(sdp, 'ice-pwd') }
}

function attribute(sdp: string, name: string): string {
  const line = sdp.split(/\r?\n/).find((l) => l.startsWith(`a=${name}:`))
  return line ? line.slice(name.length + 3).trim() : ''
}

/** Whether the description has at least one ICE candidate. */
export function hasCandidates(sdp: string): boolean {
  return /^a=candidate:/m.test(sdp)
}

interface Codec {
  mimeType: string
  sdpFmtpLine?: string
}

/**
 * Orders codecs so that H264 in packetization mode 1 comes first, then any
 * H264, then the rest (RTX and the like keep their order behind).
 */
export function preferH264<T extends Codec>(codecs: readonly T[]): T[] {
  const rank = (codec: Codec) => {
    if (codec.mimeType.toLowerCase() !== 'video/h264') return 2
    return codec.sdpFmtpLine?.includes('packetization-mode=1') ? 0 : 1
  }
  return [...codecs].sort((a, b) => rank(a) - rank(b))
}

/**
 * Reads the ICE servers out of WHIP's Link headers (RFC 9725 §4.6):
 * <stun:host>; rel="ice-server", <turn:host>; rel="ice-server"; username="u"; credential="c"
 */
export function iceServers(header: string | null): RTCIceServer[] {
  if (!header) return []
  const servers: RTCIceServer[] = []
  for (const [, url, rest] of header.matchAll(/<([^>]+)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^\s;,]+))*)/g)) {
    const params = new Map<string, string>()
    for (const [, key, quoted, plain] of (rest ?? '').matchAll(/;\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;,]+))/g)) {
      if (key) params.set(key.toLowerCase(), quoted ?? plain ?? '')
    }
    if (params.get('rel') !== 'ice-server' || !url) continue
    const server: RTCIceServer = { urls: url }
    const username = params.get('username')
    const credential = params.get('credential')
    if (username) server.username = username
    if (credential) server.credential = credential
    servers.push(server)
  }
  return servers
}
