// ICE candidates and servers.

/** Longest wait for ICE candidates before the offer is sent with those found, in milliseconds. */
const gathering = 1_000

/** Waits until the candidates are known, at most a second: a host that does not answer must not hold the start up. */
export function gathered(peer: RTCPeerConnection): Promise<void> {
  if (peer.iceGatheringState === 'complete') return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      peer.removeEventListener('icegatheringstatechange', check)
      resolve()
    }
    const check = () => {
      if (peer.iceGatheringState === 'complete') done()
    }
    const timer = setTimeout(done, gathering)
    peer.addEventListener('icegatheringstatechange', check)
  })
}

/** As many servers as are worth asking. */
const mostServers = 8

/** STUN and TURN servers of a Link header (RFC 9725, section 4.6). They serve the next connection: this one has gathered already. */
export function iceServersOf(link: string | null): RTCIceServer[] {
  const servers: RTCIceServer[] = []
  for (const [, url, parameters] of (link ?? '').matchAll(/<([^<>]*)>((?:"[^"]*"|[^",<])*)/g)) {
    if (!url || !/^(stun|turn)s?:/.test(url)) continue
    const values = new Map<string, string>()
    for (const [, name, quoted, plain] of (parameters ?? '').matchAll(/;\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;,]+))/g)) {
      if (name) values.set(name.toLowerCase(), quoted ?? plain ?? '')
    }
    if (values.get('rel') !== 'ice-server') continue
    const username = values.get('username')
    const credential = values.get('credential')
    servers.push(username !== undefined && credential !== undefined ? { urls: url, username, credential } : { urls: url })
    if (servers.length === mostServers) break
  }
  return servers
}
