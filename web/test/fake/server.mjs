// A stand-in for the API, for looking at the pages with all kinds of content.
// It is never part of the product; the end-to-end test drives the real program.
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { liveFile } from './live.mjs'

const types = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2',
  '.jpg': 'image/jpeg', '.vtt': 'text/vtt', '.m3u8': 'application/vnd.apple.mpegurl', '.mp4': 'video/mp4', '.m4s': 'video/mp4', '.webmanifest': 'application/manifest+json',
}

/** Serves dist, media from mediaDir, and answers of `world` under /api. */
export function fake(world, { dist, mediaDir }) {
  const streams = new Set()
  if (world.clock) world.clock.since = Date.now() - 100_000
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost')
    const path = url.pathname
    if (path === '/events' || path === '/events/live') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write(path === '/events' ? ': hello\n\n' : 'event: listening\ndata: {}\n\n')
      streams.add(response)
      request.on('close', () => streams.delete(response))
      return
    }
    if (path === '/mqtt') return response.writeHead(404).end()
    const sent = path.startsWith('/live/') && extname(path) ? liveFile(path, mediaDir, world.clock.since) : undefined
    if (sent) return response.writeHead(200, { 'Content-Type': sent.type, 'Cache-Control': 'no-store' }).end(sent.body)
    if (path.startsWith('/whep/')) return response.writeHead(406, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify({ status: 406, title: 'Not Acceptable', detail: 'This broadcast has B-frames, which browsers do not take over WebRTC.' }))
    if (path.startsWith('/api/')) return answer(world, request, response, path)
    const base = path.startsWith('/media/') ? mediaDir : dist
    const name = normalize(path.replace(/^\/media/, ''))
    let file = join(base, name)
    if (!existsSync(file) || statSync(file).isDirectory()) {
      // A number behind the last dot is part of an id, as the real server has it.
      if (/[^.\d]/.test(extname(path))) return response.writeHead(404).end()
      file = join(dist, 'index.html')
    }
    response.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': "default-src 'self'; style-src 'self' 'unsafe-inline'; media-src 'self' blob:; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'" })
    createReadStream(file).pipe(response)
  })
  return {
    server,
    say(topic, message) {
      for (const stream of streams) stream.write(`event: ${topic}\ndata: ${JSON.stringify(message)}\n\n`)
    },
    listeners: () => streams.size,
    async start() {
      await new Promise((done) => server.listen(0, '127.0.0.1', done))
      return `http://localhost:${server.address().port}`
    },
    stop() {
      for (const stream of streams) stream.end()
      server.closeAllConnections()
      server.close()
    },
  }
}

function answer(world, request, response, path) {
  const key = `${request.method} ${path}`
  const found = world[key] ?? world[key.replace(/\/[^/]+$/, '/*')] ?? world[key.replace(/\/[^/]+\/([^/]+)$/, '/*/$1')]
  const value = typeof found === 'function' ? found(path) : found
  if (value === undefined) {
    response.writeHead(404, { 'Content-Type': 'application/problem+json' })
    return response.end(JSON.stringify({ title: 'Not Found', status: 404, detail: 'There is nothing here.' }))
  }
  if (value === null) return response.writeHead(204).end()
  if (value.status >= 400) {
    response.writeHead(value.status, { 'Content-Type': 'application/problem+json' })
    return response.end(JSON.stringify(value))
  }
  response.writeHead(200, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(value))
}
