// A UDP relay in front of the server's WebRTC port: a network that a test can
// take away while HTTP goes on.
import { createSocket } from 'node:dgram'

/** Relays to a port of this machine until it is closed. */
export async function startRelay(port) {
  const front = createSocket('udp4')
  const ways = new Map()
  let up = true

  front.on('message', (message, from) => {
    if (!up) return
    const caller = `${from.address}:${from.port}`
    if (!ways.has(caller)) {
      const way = createSocket('udp4')
      // The server may be away: then nobody listens there.
      way.on('error', () => {})
      way.on('message', (answer) => up && front.send(answer, from.port, from.address))
      ways.set(caller, way)
    }
    ways.get(caller).send(message, port, '127.0.0.1')
  })
  await new Promise((bound) => front.bind(0, '127.0.0.1', bound))

  return {
    cut: () => (up = false),
    mend: () => (up = true),
    /** The same session description, with the relay as the only way to the server. */
    through(sdp) {
      const own = front.address().port
      return sdp
        .split('\r\n')
        .filter((line) => !line.startsWith('a=candidate:') || / udp .*typ host/i.test(line))
        .map((line) => line.replace(/^(a=candidate:.*) \d+ typ host/, `$1 ${own} typ host`))
        .join('\r\n')
    },
    close() {
      for (const socket of [front, ...ways.values()]) socket.close()
    },
  }
}

/** Lets the page's WHIP sessions go through the relay. What takes each exchange calls it; it resolves with its status. */
export function relayWhip(page, relay, takes) {
  return page.route('**/whip/**', async (route) => {
    const method = route.request().method()
    if (method !== 'POST' && method !== 'PATCH') return route.continue()
    // Without the page's addresses the server answers where it is called from: through the relay.
    const postData = route.request().postData().replace(/^a=candidate:.*\r\n/gm, '')
    await takes(async () => {
      const response = await route.fetch({ postData })
      await route.fulfill({ response, body: relay.through(await response.text()) })
      return response.status()
    }, method)
  })
}
