// One person's broadcast: camera, connection, and what is known of both.

import { ApiError, api, reasonOf } from '../api/client'
import { streamChange, viewCount } from '../events'
import { globalTopic, realtime } from '../realtime/realtime.svelte'
import { WhipSession } from '../whip/whip'
import { listDevices, mediaProblem, openMedia, type Devices, type Wanted } from './devices'
import { meter } from './meter'

export type Phase = 'ask' | 'opening' | 'preview' | 'starting' | 'live' | 'reconnecting' | 'stopping' | 'ended'

/** How long a lost connection is tried again, in milliseconds. */
const patience = 45_000
/** The pause between tries, in milliseconds. */
const between = 1_500

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

  readonly channel: string
  #session: WhipSession | null = null
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
        const change = streamChange(message)
        if (change?.channel === this.channel && change.live && this.onAir) this.streamId = change.streamId
      }),
    )
    const leaving = () => void this.#session?.stop()
    const shown = () => {
      if (!document.hidden && this.onAir) void this.#stayAwake()
    }
    addEventListener('pagehide', leaving)
    document.addEventListener('visibilitychange', shown)
    this.#undo.push(
      () => removeEventListener('pagehide', leaving),
      () => document.removeEventListener('visibilitychange', shown),
    )
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

  async goLive(): Promise<void> {
    if (this.phase !== 'preview' || !this.stream) return
    this.phase = 'starting'
    this.error = ''
    this.streamId = ''
    this.viewers = 0
    try {
      await this.#connect()
    } catch (error) {
      this.error = reasonOf(error)
      if (this.phase === 'starting') this.phase = 'preview'
    }
  }

  async stop(): Promise<void> {
    if (!this.onAir) return
    this.phase = 'stopping'
    this.endedAt = Date.now()
    if (!this.streamId) await this.#learnStream()
    // A connection that is broken already has nothing to wait for.
    await this.#session?.drain().catch(() => {})
    await this.#session?.stop()
    this.#ended()
  }

  /** Back to the preview for another broadcast. */
  async again(): Promise<void> {
    this.phase = 'ask'
    this.stream = null
    await this.open({ camera: this.camera, microphone: this.microphone })
  }

  destroy(): void {
    void this.#session?.stop()
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
    this.#heard(session, session.peer.connectionState)
  }

  #heard(session: WhipSession, state: RTCPeerConnectionState): void {
    if (session !== this.#session || !this.onAir) return
    if (state === 'connected') {
      if (this.phase === 'starting') this.startedAt = Date.now()
      this.phase = 'live'
      this.error = ''
      void this.#stayAwake()
      void this.#learnStream()
      clearInterval(this.#stats)
      this.#stats = setInterval(() => void this.#measure(), 2000)
    }
    if (state === 'disconnected') this.phase = this.phase === 'starting' ? 'starting' : 'reconnecting'
    if (state === 'failed' || state === 'closed') void this.#reconnect()
  }

  async #reconnect(): Promise<void> {
    const first = this.phase === 'starting'
    this.phase = 'reconnecting'
    const until = Date.now() + (first ? 0 : patience)
    await this.#session?.stop()
    this.#session = null
    let reason = 'The connection to the server was lost.'
    while (this.phase === 'reconnecting' && Date.now() < until) {
      try {
        await this.#connect()
        return
      } catch (error) {
        reason = reasonOf(error)
        // No network, the old session still counts, or the server starts again: wait. Anything else stays wrong.
        const hopeful = error instanceof ApiError && (error.status === 0 || error.status === 409 || error.status >= 500)
        if (!hopeful) break
        await new Promise((resolve) => setTimeout(resolve, between))
      }
    }
    if (this.phase !== 'reconnecting') return
    if (first) {
      this.error = 'The camera could not be connected to the server. A firewall may block UDP between you and it.'
      this.phase = 'preview'
      return
    }
    this.endedAt = Date.now()
    this.error = reason
    this.#ended()
  }

  #ended(): void {
    clearInterval(this.#stats)
    this.#closeTracks()
    this.#session = null
    this.level = 0
    this.stream = null
    this.phase = 'ended'
    void this.#lock?.release().catch(() => {})
  }

  /** Asks which stream this is; the realtime message may have been missed. */
  async #learnStream(): Promise<void> {
    for (let i = 0; i < 20 && !this.streamId; i++) {
      try {
        const channel = await api.channel(this.channel)
        if (channel.live && channel.streamId) {
          this.streamId = channel.streamId
          this.viewers = channel.viewCount ?? this.viewers
          return
        }
      } catch {
        // asked again below
      }
      if (this.phase === 'stopping' && i > 2) return
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }

  async #stayAwake(): Promise<void> {
    // Without it a phone switches its screen, and with it the camera, off.
    this.#lock = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null
  }

  #lastBytes = 0
  #lastAt = 0

  async #measure(): Promise<void> {
    const report = await this.#session?.peer.getStats().catch(() => null)
    report?.forEach((entry: { type: string; kind?: string; bytesSent?: number; timestamp: number; frameHeight?: number }) => {
      if (entry.type !== 'outbound-rtp' || entry.kind !== 'video') return
      const bits = ((entry.bytesSent ?? 0) - this.#lastBytes) * 8
      const seconds = (entry.timestamp - this.#lastAt) / 1000
      if (this.#lastAt > 0 && seconds > 0 && bits >= 0) {
        this.quality = `${entry.frameHeight ? `${entry.frameHeight}p · ` : ''}${(bits / seconds / 1e6).toFixed(1)} Mbit/s`
      }
      this.#lastBytes = entry.bytesSent ?? 0
      this.#lastAt = entry.timestamp
    })
  }
}
