// The shapes of the REST API, by their short names, and of the realtime
// messages. openapi.d.ts is generated: npm run types.

import type { components } from './openapi'

type Schemas = components['schemas']

export type User = Schemas['User']
export type Role = User['roles'][number]
/** A user as an admin sees it. */
export type ManagedUser = Schemas['UserView']
export type Session = Schemas['SessionView']
export type SignUpAnswer = Schemas['SignUpAnswer']
export type Video = Schemas['Video']
export type VideoUpdate = Schemas['VideoUpdate']
export type Visibility = Video['visibility']
export type Processing = Schemas['Processing']
export type Retention = Schemas['Retention']
export type RetentionInput = Schemas['RetentionInput']
export type RetentionPreview = Schemas['RetentionPreview']
export type VideoStatus = Video['status']
export type Channel = Schemas['PublicChannel'] & LiveState
export type OwnChannel = Schemas['OwnChannel'] & LiveState & {
  /** Where to send RTMP, with the stream key as stream name; absent where RTMP is off. */
  rtmpURL?: string
}
export type HistoryService = Schemas['TimelineStep']
export type HistoryMetric = Schemas['TimelineMetric']
export type HistoryEntry = HistoryService | HistoryMetric
export type OutboxMail = Schemas['MailView']
export type Problem = Schemas['Problem']
/** A place of a request that is wrong. */
export type Place = Schemas['Place']
export type Rule = Schemas['RuleView']
export type RuleInput = Schemas['RuleInput']
export type RuleTarget = RuleInput['target']
export type RuleTargets = Schemas['RuleTargets']
export type Delivery = Schemas['DeliveryView']
export type DeliveryDetail = Schemas['DeliveryDetail']
export type DeliveryState = Delivery['state']
/** A delivery as those see it who look at its event. */
export type EventDelivery = Schemas['EventDelivery']
/** An event of the archive, or as it passes. */
export type LoggedEvent = Schemas['EventView']
export type Archive = Schemas['ArchiveView']
export type TypeCount = Schemas['TypeCount']
export type Replay = Schemas['ReplayView']
export type ReplayInput = Schemas['ReplayInput']
/** An event that a part of the server could not handle. */
export type DeadLetter = Schemas['LetterView']
export type DeadLetterDetail = Schemas['LetterDetail']
export type DeadLetterCounts = Schemas['Counts']
export type Redriven = Schemas['Redriven']
export type Matches = Schemas['Matches']
/** A replay of past recordings. */
export type Simulation = Schemas['SimulationView']
export type SimulationInput = Schemas['SimulationInput']
export type SimulatedVideo = Schemas['SimulatedVideo']
export type Spread = Schemas['SimulationSpread']
export type Flow = Schemas['FlowView']
export type FlowDetail = Schemas['FlowDetail']
export type FlowStep = Schemas['StepView']
export type FlowActivity = Schemas['ActivityView']
export type FlowStatus = Flow['status']
export type FlowSummary = Schemas['SummaryView']

/** What the live engine says of a channel while it is live. */
export interface LiveState {
  /** The broadcaster is away, and may come back into the same broadcast. */
  reconnecting?: boolean
  /** A picture of the live, made anew every minute under the same address. */
  thumbnail?: string
  /** RFC 3339. */
  liveSince?: string
}

/** How the broadcaster's stream arrives at the server. */
export interface Health {
  streamId: string
  /** "" while the broadcaster is away. */
  protocol: 'WHIP' | 'RTMP' | ''
  reconnecting: boolean
  videoCodec: string
  audioCodec?: string
  width: number
  height: number
  frameRate: number
  /** Bits a second. */
  bitrate: number
  /** Seconds. */
  keyFrameInterval: number
  packetsLost: number
  lossPercent: number
  jitterMillis: number
  roundTripMillis: number
  viewers: number
  rungs: Rung[]
  /** Sentences for the broadcaster. */
  advice: string[]
}

/** A quality that viewers can get, or could: "source" is what is sent, the others are made of it ("480p", "AAC"). */
export interface Rung {
  name: string
  width?: number
  height?: number
  /** Bits a second, once it was measured. */
  bitrate?: number
  state: 'on' | 'refused' | 'failed'
  reason?: string
}

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
