// Starts the real program on free ports with a data folder of its own.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { createSocket } from 'node:dgram'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const built = (name) => new URL(`../../bin/${name}`, import.meta.url).pathname
const programs = {
  asUsed: process.env.E2E_BINARY ?? built('serverlessvideo'),
  /** The same, which fails where FAILPOINTS says (internal/failpoint). */
  failing: process.env.E2E_FAILING_BINARY ?? built('serverlessvideo-failpoints'),
}

/** Starts the program with these flags; with failpoints it is the one that has them. */
export async function startServer(flags = [], failpoints) {
  const binary = failpoints === undefined ? programs.asUsed : programs.failing
  if (!existsSync(binary)) throw new Error(`${binary} is not there: run "make e2e", or set E2E_BINARY and E2E_FAILING_BINARY`)
  const dataDir = mkdtempSync(join(tmpdir(), 'serverlessvideo-e2e-'))
  const [http, rtmp, udp] = [await freePort(), await freePort(), await freeUDPPort()]
  const url = `http://127.0.0.1:${http}`
  const args = ['serve', '--data-dir', dataDir, '--http', `127.0.0.1:${http}`, '--rtmp', `127.0.0.1:${rtmp}`, '--webrtc-udp', `127.0.0.1:${udp}`, ...flags]
  let log = ''
  const waiting = new Set()
  let child, ended

  async function start(failing = '') {
    child = spawn(binary, args, { env: { ...cleanEnvironment(), FAILPOINTS: failing } })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk) => {
        log += chunk
        for (const look of waiting) look()
      })
    }
    ended = new Promise((done) => child.on('exit', (code, signal) => done(code ?? signal)))
    await Promise.race([ready(url), ended.then((code) => Promise.reject(new Error(`serve ended with ${code}:\n${log}`)))])
  }

  /** Stops it cleanly and returns the exit code. */
  function stop() {
    child.kill('SIGTERM')
    return ended
  }

  /** Ends it as a power cut does. */
  function kill() {
    child.kill('SIGKILL')
    return ended
  }

  /** Waits for a line of the log and returns the match. */
  const logged = (pattern, seconds = 30) =>
    new Promise((done, failed) => {
      const timer = setTimeout(() => {
        waiting.delete(look)
        failed(new Error(`${pattern} was not logged within ${seconds} s:\n${log}`))
      }, seconds * 1000)
      const look = () => {
        const found = log.match(pattern)
        if (!found) return
        clearTimeout(timer)
        waiting.delete(look)
        done(found)
      }
      waiting.add(look)
      look()
    })

  /** Makes a confirmed user by the operator's command, and returns what it prints. */
  function addUser(email, password, role) {
    const made = execFileSync(binary, ['user', 'add', '--data-dir', dataDir, '--email', email, '--password-stdin', '--role', role, '--json'], { env: cleanEnvironment(), input: password })
    return JSON.parse(made)
  }

  await start(failpoints)
  return { url, rtmp: `rtmp://127.0.0.1:${rtmp}/live`, udp, addUser, start, stop, kill, logged, log: () => log, remove: () => rmSync(dataDir, { recursive: true, force: true }) }
}

/** Settings of whoever runs the test must not reach the server. */
function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SERVERLESSVIDEO_')))
}

async function ready(url) {
  for (let i = 0; i < 300; i++) {
    const up = await fetch(url + '/readyz').then(
      (r) => r.ok,
      () => false,
    )
    if (up) return
    await new Promise((done) => setTimeout(done, 100))
  }
  throw new Error('the server was not ready within 30 s')
}

function freePort() {
  return new Promise((done, failed) => {
    const server = createServer().on('error', failed)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })
}

function freeUDPPort() {
  return new Promise((done, failed) => {
    const socket = createSocket('udp4').on('error', failed)
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address()
      socket.close(() => done(port))
    })
  })
}
