// The shapes of the REST API and of the realtime messages, as the server's
// contract gives them. Times are RFC 3339, durations integer milliseconds.

export type Role = 'viewer' | 'broadcaster' | 'developer' | 'admin'

export interface User {
  id: string
  email: string
  username: string
  roles: Role[]
}

export interface Session {
  user: User | null
  signUp: { open: boolean; domains: string[] }
  /** True until the first admin exists; the set-up link is in the server's log. */
  setup: boolean
}

export interface SignUpAnswer {
  status: 'confirm' | 'signed-in'
  message: string
}

export interface Page<T> {
  nextPage?: string
  count: number
  data: T[]
}

export type VideoStatus = 'processing' | 'valid' | 'invalid' | 'failed'

export interface Video {
  id: string
  channel: string
  author: { username: string }
  createdAt: string
  thumbnail?: string
  /** The HLS playlist. */
  streamURL: string
  /** The MP4. */
  playbackURL?: string
  title?: string
  tags?: string[]
  transcriptURL?: string
  duration: number
  status?: VideoStatus
  /** Why it is not valid; the owner alone is told. */
  reason?: string
}

export interface Channel {
  /** The channel's id, which is its owner's. */
  name: string
  username: string
  /** The live HLS playlist. */
  playbackURL: string
  live: boolean
  streamId?: string
  viewCount?: number
  startedAt?: string
}

export interface OwnChannel extends Channel {
  ingestURL: string
  streamKey: string
}

export interface HistoryService {
  type: 'service'
  createdAt: string
  videoId: string
  key: string
  parent?: string
  icon: string
  title: string
  subtitle: string
  description: string
}

export interface HistoryMetric {
  type: 'metric'
  createdAt: string
  videoId: string
  key: string
  label: string
  value: string | number
}

export type HistoryEntry = HistoryService | HistoryMetric

export interface OutboxMail {
  id: string
  to: string
  subject: string
  /** shown: there is no mail server, somebody has to pass the link on. */
  status: 'queued' | 'sent' | 'failed' | 'shown'
  /** Absent once the mail was sent. */
  link?: string
  /** Why the last attempt to send it failed. */
  problem?: string
  createdAt: string
}

export interface Problem {
  title?: string
  status: number
  detail?: string
}

/** A realtime message: what happened and, in the event's own shape, to what. */
export interface Message {
  type: string
  detail: Record<string, unknown>
}
