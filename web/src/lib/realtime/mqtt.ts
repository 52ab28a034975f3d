// MQTT 3.1.1 over WebSocket. One link is one connection: reconnecting is the
// business of connection.ts.

import { mqtt_v4 } from 'u8-mqtt/esm/web/basic-v4.js'
import { randomId } from '../random'
import { parseMessage, type Link, type LinkEvents } from './link'

/** How long connecting and subscribing may take, in milliseconds. */
const handshake = 8_000
/** Seconds between pings. */
const keepAlive = 25
/** Without any byte for this long the link is taken for dead, in milliseconds. */
const silence = 2.5 * keepAlive * 1000

export function mqttURL(origin: string): string {
  return origin.replace(/^http/, 'ws') + '/mqtt'
}

export function openMqtt(wanted: string[], events: LinkEvents): Link {
  let topics = [...wanted]
  let subscribed: string[] = []
  let over = false
  let ready = false

  const socket = new WebSocket(mqttURL(location.origin), ['mqtt'])
  socket.binaryType = 'arraybuffer'
  const alive = () => {
    clearTimeout(watchdog)
    watchdog = setTimeout(end, ready ? silence : handshake)
  }
  let watchdog: ReturnType<typeof setTimeout> = setTimeout(end, handshake)

  const client = mqtt_v4({
    sess_stg: null,
    on_live() {},
    on_disconnect: end,
    on_error: end,
    log_conn() {},
    on_mqtt_type: {
      mqtt_pkt: alive,
      mqtt_pingresp: alive,
      mqtt_publish(packet) {
        alive()
        const message = parseMessage(packet.utf8())
        if (message && !over) events.message(packet.topic, message)
      },
    },
  })

  socket.addEventListener('open', () => void begin())
  socket.addEventListener('close', end)
  socket.addEventListener('error', end)

  function end(): void {
    if (over) return
    over = true
    clearTimeout(watchdog)
    socket.close()
    events.down()
  }

  async function begin(): Promise<void> {
    try {
      client.with_websock(socket)
      await client.connect({ client_id: 'web-' + randomId(), keep_alive: keepAlive, flags: { clean_start: true } })
      await subscribe()
      if (over) return
      ready = true
      alive()
      events.up()
    } catch {
      end()
    }
  }

  async function subscribe(): Promise<void> {
    const added = topics.filter((topic) => !subscribed.includes(topic))
    const removed = subscribed.filter((topic) => !topics.includes(topic))
    subscribed = [...topics]
    if (removed.length > 0) void client.unsubscribe({ topics: removed })
    if (added.length > 0) await client.subscribe({ topics: added })
  }

  return {
    setTopics(next) {
      topics = [...next]
      if (ready && !over) subscribe().catch(end)
    },
    close() {
      if (over) return
      over = true
      clearTimeout(watchdog)
      if (ready) void client.disconnect().catch(() => {})
      socket.close()
    },
  }
}
