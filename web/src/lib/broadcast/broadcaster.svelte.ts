// One person's broadcast: camera, connection, and what is known of both.

import { api, reasonOf } from '../api/client'
import type { Channel, Health } from '../api/types'
import { starvation, streamChange, viewCount } from '../events'
import { notices } from '../notices.svelte'
import { globalTopic, realtime } from '../realtime/realtime.svelte'
import { release } from '../webrtc/exchange'
import { WhipSession } from '../whip/whip'
import { listDevices, mediaProblem, openMedia, type Devices, type Wanted } from './devices'
import { forget, remember, remembered } from './memory'
import { meter } from './meter'
import { bringBack, hopeful, openForUnknown } from './reconnect'
import { Silence } from './silence'

export type Phase = 'ask' | 'opening' | 'preview' | 'starting' | 'live' | 'reconnecting' | 'stopping' | 'ended'

/** A broadcast of this channel that is open already: left by a closed page, or sent by another program. */
export interface Open {
  streamId: string
  startedAt: number
  /** Nobody sends it at the moment: it can be continued here. */
  waiting: boolean
  /** This browser sent it, so it can end it too. */
  mine: boolean
  /** When it ends if nobody sends, in Unix milliseconds; 0 when that is not known. */
  until: number
}

/** How long the server may take to notice that a closed page sends nothing any more, in milliseconds. */
const noticing = 6_000

export class Broadcaster {
  phase = $state<Phase>('ask')
  error = $state('')
  stream = $state.raw<MediaStream | null>(null)
  devices = $state.raw<Devices>({ cameras: [], microphones: [] })
  camera = $state('')
  microphone = $state('')
  facing = $state<'user' | 'environment'>('user')
  muted = $state(false)
  level = $state(0)
  startedAt = $state(0)
  endedAt = $state(0)
  viewers = $state(0)
  streamId = $state('')
  quality = $state('')
  before = $state.raw<Open | null>(null)
  /** Seconds that the server keeps the broadcast open without its broadcaster; null when that is not known. */
  openFor = $state<number | null>(null)
  /** While reconnecting: what is tried (0 is the connection there was), and until when (Unix milliseconds). */
  attempt = $state(0)
  until = $state(0)
  /** The server gets no picture although the connection stands. */
  starved = $state(false)

  readonly channel: string
  #session: WhipSession | null = null
  #resource = ''
  #iceServers: RTCIceServer[] = []
  #relayed = false
  #watching: (() => void) | null = null
  #stopMeter = () => {}
  #undo: (() => void)[] = []
  #stats: ReturnType<typeof setInterval> | undefined
  #lock: WakeLockSentinel | null = null

  constructor(channel: string) {
    this.channel = channel
    this.#undo.push(
      realtime.listen(globalTopic, (message) => {
        const views = viewCount(message)
        if (views?.channel === this.channel) this.viewers = views.count
        const absence = starvation(message)
        if (absence?.channel === this.channel) this.#absent(absence.away)
        const change = streamChange(message)
        if (change?.channel !== this.channel) return
        if (change.live && this.onAir) this.#into(change.streamId)
        if (!this.onAir) void this.look()
      }),
      realtime.onSnapshot(() => void this.look()),
    )
    void this.look()
    const shown = () => {
      if (!document.hidden && this.onAir) void this.#stayAwake()
    }
    document.addEventListener('visibilitychange', shown)
    // A page that is closed or loaded again leaves the broadcast open: it can be continued.
    this.#undo.push(() => document.removeEventListener('visibilitychange', shown))
  }

  get onAir(): boolean {
    return this.phase === 'starting' || this.phase === 'live' || this.phase === 'reconnecting'
  }

  /** Opens camera and microphone; the browser asks the person if need be. */
  async open(wanted: Wanted = {}): Promise<void> {
    const first = this.stream === null
    if (first) this.phase = 'opening'
    this.error = ''
    const before: Wanted = { camera: this.camera, microphone: this.microphone }
    try {
      // Phones open one camera at a time: the old one has to go first.
      if (!first) this.#closeTracks()
      await this.#use(await openMedia(wanted))
      if (first) this.phase = 'preview'
    } catch (error) {
      this.error = mediaProblem(error)
      if (first) this.phase = 'ask'
      else await this.#goBack(before)
    }
  }

  chooseCamera(id: string): Promise<void> {
    return this.open({ camera: id, microphone: this.microphone })
  }

  chooseMicrophone(id: string): Promise<void> {
    return this.open({ camera: this.camera, microphone: id })
  }

  flip(): Promise<void> {
    const facing = this.facing === 'user' ? 'environment' : 'user'
    const other = this.devices.cameras.find((device) => device.deviceId !== this.camera)
    this.facing = facing
    // A named camera where the browser does not know sides (laptops).
    const knowsSides = this.stream?.getVideoTracks()[0]?.getSettings().facingMode !== undefined
    return this.open(knowsSides || !other ? { facing, microphone: this.microphone } : { camera: other.deviceId, microphone: this.microphone })
  }

  mute(on: boolean): void {
    this.muted = on
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !on
  }

  /** Asks whether a broadcast of this channel is open already, while none is sent from here. */
  async look(): Promise<void> {
    if (this.onAir || this.phase === 'stopping' || this.phase === 'ended') return
    const channel = await api.channel(this.channel).catch(() => null)
    if (!channel || this.onAir) return
    const before = openOf(channel)
    // The answer counts whole seconds: the end stays where it was, so that a countdown does not jump.
    if (before && this.before && Math.abs(before.until - this.before.until) < 2_000) before.until = this.before.until
    this.before = before
  }

  #absent(away: boolean): void {
    if (this.onAir) this.starved = away
    else if (this.before) this.before = { ...this.before, waiting: away }
  }

  /** Goes live; into the broadcast that waits, when there is one. */
  async goLive(): Promise<void> {
    if (this.phase !== 'preview' || !this.stream) return
    const before = this.before
    this.#relayed = false
    this.phase = 'starting'
    this.error = ''
    this.streamId = ''
    this.startedAt = 0
    this.viewers = 0
    this.starved = false
    this.#silence = new Silence()
    // Until the server has noticed that the page before is gone, it refuses.
    const until = Date.now() + (before?.waiting || before?.mine ? noticing : 0)
    for (;;) {
      try {
        await this.#connect()
        if (before?.waiting || before?.mine) this.startedAt = before.startedAt
        this.before = null
        return
      } catch (error) {
        if (this.phase !== 'starting') return
        if (Date.now() < until && hopeful(error)) {
          await new Promise((resolve) => setTimeout(resolve, 1_000))
          continue
        }
        this.error = reasonOf(error)
        this.phase = 'preview'
        void this.look()
        return
      }
    }
  }

  /** Ends the broadcast that waits. */
  async endBefore(): Promise<void> {
    try {
      await api.endBroadcast()
      forget()
      this.before = null
    } catch (error) {
      this.error = reasonOf(error)
      void this.look()
    }
  }

  async stop(): Promise<void> {
    if (!this.onAir) return
    const lost = this.phase === 'reconnecting'
    this.phase = 'stopping'
    this.endedAt = Date.now()
    if (!this.streamId) await this.#learn()
    // A connection that is broken already has nothing to wait for.
    if (!lost) await this.#session?.drain().catch(() => {})
    if (this.#session) await this.#session.stop()
    else if (this.#resource) await release(fetch, this.#resource)
    if (lost) await this.#endWaiting()
    this.#ended()
  }

  /** The server may have let the lost session go already: then it is the broadcast that has to be ended. */
  async #endWaiting(): Promise<void> {
    const channel = await api.channel(this.channel).catch(() => null)
    if (channel?.reconnecting && channel.streamId === this.streamId) await api.endBroadcast().catch(() => {})
  }

  /** Back to the preview for another broadcast. */
  async again(): Promise<void> {
    this.phase = 'ask'
    this.stream = null
    await this.open({ camera: this.camera, microphone: this.microphone })
  }

  destroy(): void {
    if (this.#session) void this.#session.stop()
    else if (this.#resource) void release(fetch, this.#resource)
    this.#closeTracks()
    clearInterval(this.#stats)
    for (const undo of this.#undo) undo()
    void this.#lock?.release().catch(() => {})
  }

  async #use(stream: MediaStream): Promise<void> {
    this.stream = stream
    const video = stream.getVideoTracks()[0]
    const audio = stream.getAudioTracks()[0]
    this.camera = video?.getSettings().deviceId ?? ''
    this.microphone = audio?.getSettings().deviceId ?? ''
    const side = video?.getSettings().facingMode
    if (side === 'user' || side === 'environment') this.facing = side
    for (const track of stream.getAudioTracks()) track.enabled = !this.muted
    for (const track of stream.getTracks()) {
      // Fires when a device is unplugged or taken away, not when we stop it.
      track.addEventListener('ended', () => {
        if (this.stream === stream) this.error = `The ${track.kind === 'video' ? 'camera' : 'microphone'} was taken away. Connect it again or choose another one.`
      })
    }
    this.#stopMeter()
    this.#stopMeter = meter(stream, (level) => (this.level = level))
    this.devices = await listDevices()
    for (const track of stream.getTracks()) await this.#session?.replace(track)
  }

  /** A device that could not be opened must not end a broadcast: back to the ones before. */
  async #goBack(before: Wanted): Promise<void> {
    try {
      await this.#use(await openMedia(before))
    } catch {
      this.error = 'Camera and microphone are gone. Connect them again and choose them here.'
    }
  }

  #closeTracks(): void {
    this.#stopMeter()
    for (const track of this.stream?.getTracks() ?? []) track.stop()
  }

  async #connect(): Promise<void> {
    if (!this.stream) return
    const session = await WhipSession.start({
      endpoint: `/whip/${encodeURIComponent(this.channel)}`,
      stream: this.stream,
      iceServers: this.#iceServers,
      // Changes during the exchange are looked at once it is done.
      state: (state) => {
        if (this.#session) this.#heard(this.#session, state)
      },
    })
    if (!this.onAir) {
      void session.stop()
      return
    }
    this.#session = session
    this.#resource = session.resource
    if (session.iceServers.length > 0) this.#iceServers = session.iceServers
    this.#heard(session, session.peer.connectionState)
  }

  #heard(session: WhipSession, state: RTCPeerConnectionState): void {
    if (session !== this.#session || !this.onAir) return
    if (state === 'connected') this.#connected()
    else if (state === 'disconnected' && this.phase === 'live') void this.#reconnect()
    else if (state === 'failed' || state === 'closed') {
      if (this.phase === 'live') void this.#reconnect()
      else if (this.phase === 'starting') this.#unreachable()
    }
    this.#watching?.()
  }

  #connected(): void {
    if (this.startedAt === 0) this.startedAt = Date.now()
    this.phase = 'live'
    this.error = ''
    this.starved = false
    void this.#stayAwake()
    void this.#learn()
    clearInterval(this.#stats)
    this.#stats = setInterval(() => void this.#measure(), 2000)
  }

  #unreachable(): void {
    void this.#session?.stop()
    this.#session = null
    if (this.#iceServers.length > 0 && !this.#relayed) {
      // The answer named servers that can help; this time they are asked.
      this.#relayed = true
      this.#connect().catch(() => this.#unreachable())
      return
    }
    this.error = 'The camera could not be connected to the server. A firewall may block UDP between you and it.'
    this.phase = 'preview'
  }

  /** Brings the broadcast back. A connection that stands but is of no use is not restarted, but replaced. */
  async #reconnect(stands = false): Promise<void> {
    this.phase = 'reconnecting'
    this.until = Date.now() + (this.openFor ?? openForUnknown) * 1000
    const reason = await bringBack(
      {
        restart: () => (stands ? null : this.#session?.restart()) ?? Promise.resolve(false),
        connect: () => {
          // Not ended: the broadcast goes on in the new session.
          this.#session?.abandon()
          this.#session = null
          return this.#connect()
        },
        stands: (within) => this.#stands(within),
        wait: waitForNetwork,
        wanted: () => this.phase === 'reconnecting',
        now: () => Date.now(),
        trying: (attempt) => (this.attempt = attempt),
      },
      this.until,
      this.openFor === 0 ? 'The connection to the server was lost. This server ends a broadcast with its connection.' : undefined,
    )
    if (reason === '' || this.phase !== 'reconnecting') return
    this.endedAt = Date.now()
    this.error = reason
    this.#session?.abandon()
    this.#ended()
  }

  /** Waits for the connection to stand or to fail. */
  #stands(within: number): Promise<boolean> {
    const look = () => this.#session?.peer.connectionState
    return new Promise((resolve) => {
      const done = (stands: boolean) => {
        clearTimeout(timer)
        this.#watching = null
        resolve(stands)
      }
      const timer = setTimeout(() => done(look() === 'connected'), within)
      this.#watching = () => {
        const state = look()
        if (state === 'connected') done(true)
        else if (state === 'failed' || state === 'closed' || !this.onAir) done(false)
      }
      this.#watching()
    })
  }

  #ended(): void {
    clearInterval(this.#stats)
    this.#closeTracks()
    this.#session = null
    this.#resource = ''
    this.starved = false
    forget()
    this.level = 0
    this.stream = null
    this.phase = 'ended'
    void this.#lock?.release().catch(() => {})
  }

  /** Asks which stream this is, as the realtime message may have been missed, and how long the server keeps it open. */
  async #learn(): Promise<void> {
    const asked = () => this.onAir || this.phase === 'stopping'
    for (let i = 0; i < 20 && asked(); i++) {
      const channel = await api.channel(this.channel).catch(() => null)
      if (!asked()) return
      if (channel?.live && channel.streamId) {
        this.viewers = channel.viewCount ?? this.viewers
        this.openFor = channel.openFor ?? null
        this.#into(channel.streamId)
        return
      }
      if (this.phase === 'stopping' && i > 2) return
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }

  /** Notes which stream is sent. After a reconnection that came too late it is another one. */
  #into(streamId: string): void {
    if (this.streamId && this.streamId !== streamId) {
      this.startedAt = Date.now()
      notices.show('The broadcast before had ended meanwhile. You are live with a new one.', 'info')
    }
    this.streamId = streamId
    remember({ streamId, startedAt: this.startedAt })
  }

  async #stayAwake(): Promise<void> {
    // Without it a phone switches its screen, and with it the camera, off.
    this.#lock = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null
  }

  /** Takes how the server says that the stream arrives; null when it does not know. */
  told(health: Health | null): void {
    // A picture has a width from its first key frame on.
    this.#silence.arrives(health === null || health.reconnecting ? null : health.width > 0, Date.now())
  }

  #silence = new Silence()
  #lastBytes = 0
  #lastAt = 0

  async #measure(): Promise<void> {
    const session = this.#session
    const report = await session?.peer.getStats().catch(() => null)
    if (!report || session !== this.#session) return this.#silence.reset()
    let sent = 0
    report.forEach((entry: { type: string; kind?: string; bytesSent?: number; timestamp: number; frameHeight?: number }) => {
      if (entry.type !== 'outbound-rtp' || entry.kind !== 'video') return
      const bits = ((entry.bytesSent ?? 0) - this.#lastBytes) * 8
      const seconds = (entry.timestamp - this.#lastAt) / 1000
      if (this.#lastAt > 0 && seconds > 0 && bits >= 0) {
        this.quality = `${entry.frameHeight ? `${entry.frameHeight}p · ` : ''}${(bits / seconds / 1e6).toFixed(1)} Mbit/s`
      }
      this.#lastBytes = entry.bytesSent ?? 0
      this.#lastAt = entry.timestamp
      sent += this.#lastBytes
    })
    // A camera that the system or another program has taken away gives nothing to send.
    const camera = this.stream?.getVideoTracks()[0]
    if (this.phase !== 'live' || camera?.readyState !== 'live' || camera.muted) this.#silence.reset()
    else if (this.#silence.tooLong(sent, Date.now())) void this.#reconnect(true)
  }
}

function openOf(channel: Channel): Open | null {
  if (!channel.live || !channel.streamId) return null
  const memory = remembered()
  const mine = memory?.streamId === channel.streamId
  const startedAt = mine ? memory.startedAt : Date.parse(channel.startedAt ?? channel.liveSince ?? '') || Date.now()
  const until = channel.openFor === undefined ? 0 : Date.now() + channel.openFor * 1000
  return { streamId: channel.streamId, startedAt, waiting: channel.reconnecting ?? false, mine, until }
}

/** Waits so long, less when the network comes back. */
function waitForNetwork(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      removeEventListener('online', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    addEventListener('online', done)
  })
}
