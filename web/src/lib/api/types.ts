// The shapes of the REST API, by their short names, and of the realtime
// messages. openapi.d.ts is generated: npm run types.

import type { components } from './openapi'

type Schemas = components['schemas']

export type User = Schemas['User']
export type Role = User['roles'][number]
export type Session = Schemas['SessionView']
export type SignUpAnswer = Schemas['SignUpAnswer']
export type Video = Schemas['Video']
export type VideoStatus = Video['status']
export type Channel = Schemas['PublicChannel']
export type OwnChannel = Schemas['OwnChannel']
export type HistoryService = Schemas['TimelineStep']
export type HistoryMetric = Schemas['TimelineMetric']
export type HistoryEntry = HistoryService | HistoryMetric
export type OutboxMail = Schemas['MailView']
export type Problem = Schemas['Problem']

export interface Page<T> {
  nextPage?: string
  count: number
  data: T[]
}

/** A realtime message: what happened and, in the event's own shape, to what. */
export interface Message {
  type: string
  detail: Record<string, unknown>
}
