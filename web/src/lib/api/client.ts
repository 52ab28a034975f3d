// The REST API, one function per route. Every failure is an ApiError whose
// message can be shown to people.

import type {
  Archive,
  Channel,
  DeadLetter,
  DeadLetterCounts,
  DeadLetterDetail,
  Delivery,
  DeliveryDetail,
  DeliveryState,
  EventDelivery,
  Flow,
  FlowDetail,
  FlowSummary,
  Health,
  HistoryEntry,
  LoggedEvent,
  ManagedUser,
  Matches,
  OutboxMail,
  OwnChannel,
  Page,
  Place,
  Problem,
  Processing,
  Redriven,
  Replay,
  ReplayInput,
  Retention,
  RetentionInput,
  RetentionPreview,
  Rule,
  RuleInput,
  RuleTargets,
  Session,
  SimulatedVideo,
  Simulation,
  SimulationInput,
  SignUpAnswer,
  TypeCount,
  User,
  Video,
  VideoUpdate,
} from './types'

/** How long an answer may take, in milliseconds. */
const deadline = 15_000

export class ApiError extends Error {
  override name = 'ApiError'

  /**
   * @param status HTTP status; 0 when the server could not be reached.
   * @param places what is wrong with the request, and where
   */
  constructor(
    readonly status: number,
    message: string,
    readonly places: Place[] = [],
  ) {
    super(message)
  }
}

/** What to tell people about a failure of any kind. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error && error.message) return error.message
  return 'Something went wrong. Please try again.'
}

/** Reads the problem document (RFC 9457) of a failed answer. */
export async function errorOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => null)) as Problem | null
  return new ApiError(response.status, problem?.detail || problem?.title || fallback(response.status), problem?.errors ?? [])
}

function fallback(status: number): string {
  if (status === 404) return 'This is not here.'
  if (status === 429) return 'That was a little fast. Please wait a moment and try again.'
  if (status >= 500) return 'The server has a problem. Please try again in a moment.'
  return `The server refused this (${status}).`
}

let whenSignedOut: () => void = () => {}

/** Sets what is done when the server does not know this session any more. */
export function onSignedOut(does: () => void): void {
  whenSignedOut = does
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: body === undefined ? { Accept: 'application/json' } : { Accept: 'application/json', 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(deadline),
    })
  } catch {
    throw new ApiError(0, 'The server cannot be reached. Check your connection and try again.')
  }
  if (response.status === 401 && !path.startsWith('/api/auth/')) whenSignedOut()
  if (!response.ok) throw await errorOf(response)
  if (response.status === 204) return undefined as T
  const text = await response.text()
  return (text ? JSON.parse(text) : undefined) as T
}

function query(values: Record<string, string | number | boolean | undefined>): string {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== '')
  if (pairs.length === 0) return ''
  return '?' + new URLSearchParams(pairs.map(([key, value]) => [key, String(value)])).toString()
}

const seg = encodeURIComponent

export const api = {
  session: () => call<Session>('GET', '/api/auth/session'),
  signUp: (email: string, password: string, username?: string) =>
    call<SignUpAnswer>('POST', '/api/auth/signup', username ? { email, password, username } : { email, password }),
  signIn: (email: string, password: string) => call<{ user: User }>('POST', '/api/auth/signin', { email, password }),
  signOut: () => call<void>('POST', '/api/auth/signout'),
  confirm: (token: string) => call<{ user: User }>('POST', '/api/auth/confirm', { token }),
  setUp: (token: string, email: string, password: string) =>
    call<{ user: User }>('POST', '/api/auth/setup', { token, email, password }),

  videos: (offset?: string, limit = 24) => call<Page<Video>>('GET', '/api/videos' + query({ offset, limit })),
  /** Public videos that have all these words. */
  search: (q: string, offset?: string, limit = 24) => call<Page<Video>>('GET', '/api/videos' + query({ q, offset, limit })),
  video: (id: string) => call<Video>('GET', `/api/video/${seg(id)}`),
  updateVideo: (id: string, update: VideoUpdate) => call<Video>('PATCH', `/api/video/${seg(id)}`, update),
  deleteVideo: (id: string) => call<void>('DELETE', `/api/video/${seg(id)}`),
  processing: (id: string) => call<Processing>('GET', `/api/video/${seg(id)}/processing`),
  retryProcessing: (id: string) => call<Processing>('POST', `/api/video/${seg(id)}/processing`),
  history: (id: string) => call<Page<HistoryEntry>>('GET', `/api/video/${seg(id)}/history` + query({ limit: 100 })),

  channel: (id: string) => call<Channel>('GET', `/api/channel/${seg(id)}`),
  liveChannels: () => call<Page<Channel>>('GET', '/api/channels' + query({ live: true, limit: 48 })),
  channelVideos: (id: string, limit = 12) => call<Page<Video>>('GET', `/api/channel/${seg(id)}/videos` + query({ limit })),
  myChannel: () => call<OwnChannel>('GET', '/api/channel'),
  /** Ends my broadcast, also while it waits for its sender. */
  endBroadcast: () => call<void>('DELETE', '/api/channel/live'),
  health: () => call<Health>('GET', '/api/channel/health'),
  retention: (channel: string) => call<Retention>('GET', `/api/channel/${seg(channel)}/retention`),
  /** What would be deleted at once. */
  previewRetention: (channel: string, input: RetentionInput) =>
    call<RetentionPreview>('GET', `/api/channel/${seg(channel)}/retention/preview` + query({ ...input })),
  setRetention: (channel: string, input: RetentionInput) => call<Retention>('PUT', `/api/channel/${seg(channel)}/retention`, input),
  rotateKey: () => call<OwnChannel>('POST', '/api/channel/rotate-key'),
  myVideos: (offset?: string, limit = 24) => call<Page<Video>>('GET', '/api/channel/videos' + query({ offset, limit })),
  react: (channel: string, type: string, x: number, y: number) =>
    call<void>('POST', `/api/channel/${seg(channel)}/metadata`, { type, x, y }),
  watching: (channel: string, viewer: string, streamId: string) =>
    call<void>('POST', `/api/viewers/${seg(channel)}`, { viewer, streamId }),

  rules: (offset?: string) => call<Page<Rule>>('GET', '/api/rules' + query({ offset, limit: 50 })),
  rule: (id: string) => call<Rule>('GET', `/api/rules/${seg(id)}`),
  ruleTargets: () => call<RuleTargets>('GET', '/api/rules/targets'),
  createRule: (rule: RuleInput) => call<Rule>('POST', '/api/rules', rule),
  updateRule: (id: string, rule: RuleInput) => call<Rule>('PUT', `/api/rules/${seg(id)}`, rule),
  deleteRule: (id: string) => call<void>('DELETE', `/api/rules/${seg(id)}`),
  rotateRuleSecret: (id: string) => call<{ secret: string }>('POST', `/api/rules/${seg(id)}/secret`),
  testPattern: (pattern: string, event: string) => call<{ matches: boolean }>('POST', '/api/rules/test', { pattern, event }),
  deliveries: (rule: string, state: DeliveryState | '', offset?: string) =>
    call<Page<Delivery>>('GET', `/api/rules/${seg(rule)}/deliveries` + query({ state, offset, limit: 20 })),
  delivery: (rule: string, id: string) => call<DeliveryDetail>('GET', `/api/rules/${seg(rule)}/deliveries/${seg(id)}`),
  redriveDelivery: (rule: string, id: string) => call<DeliveryDetail>('POST', `/api/rules/${seg(rule)}/deliveries/${seg(id)}/redrive`),
  redriveDead: (rule: string) => call<{ count: number }>('POST', `/api/rules/${seg(rule)}/dead-letters/redrive`),
  purgeDead: (rule: string) => call<{ count: number }>('DELETE', `/api/rules/${seg(rule)}/dead-letters`),
  /** What rules made of up to 50 events. */
  deliveriesOf: (events: string[]) => call<{ data: EventDelivery[] }>('GET', '/api/rules/deliveries' + query({ event: events.join(',') })),

  archive: () => call<Archive>('GET', '/api/archive'),
  /** The newest events first; filters by the names of the API. */
  events: (filters: Record<string, string>, offset?: string) =>
    call<Page<LoggedEvent>>('GET', '/api/archive/events' + query({ ...filters, offset, limit: 50 })),
  eventTypes: () => call<{ data: TypeCount[] }>('GET', '/api/archive/types'),
  replays: (offset?: string) => call<Page<Replay>>('GET', '/api/archive/replays' + query({ offset, limit: 20 })),
  startReplay: (replay: ReplayInput) => call<Replay>('POST', '/api/archive/replays', replay),
  cancelReplay: (id: string) => call<Replay>('POST', `/api/archive/replays/${seg(id)}/cancel`),
  deadLetters: (offset?: string) => call<Page<DeadLetter>>('GET', '/api/dead-letters' + query({ offset, limit: 20 })),
  countDeadLetters: () => call<DeadLetterCounts>('GET', '/api/dead-letters/count'),
  deadLetter: (id: string) => call<DeadLetterDetail>('GET', `/api/dead-letters/${seg(id)}`),
  redriveDeadLetter: (id: string) => call<void>('POST', `/api/dead-letters/${seg(id)}/redrive`),
  redriveDeadLetters: (offset?: string) => call<Redriven>('POST', '/api/dead-letters/redrive' + query({ offset })),
  deleteDeadLetter: (id: string) => call<void>('DELETE', `/api/dead-letters/${seg(id)}`),
  /** Deletes all up to an id, so that none goes that nobody has seen. */
  purgeDeadLetters: (upTo: string) => call<{ count: number }>('DELETE', '/api/dead-letters' + query({ upTo })),
  /** How many events of a part of the range a replay would deliver. */
  countMatches: (replay: ReplayInput, offset?: string) => call<Matches>('POST', '/api/archive/count', { ...replay, offset }),

  simulations: (offset?: string) => call<Page<Simulation>>('GET', '/api/simulations' + query({ offset, limit: 10 })),
  simulation: (id: string) => call<Simulation>('GET', `/api/simulations/${seg(id)}`),
  simulatedVideos: (id: string, offset?: string) =>
    call<Page<SimulatedVideo>>('GET', `/api/simulations/${seg(id)}/videos` + query({ offset, limit: 100 })),
  startSimulation: (input: SimulationInput) => call<Simulation>('POST', '/api/simulations', input),
  /** Ends it and removes its videos; its results stay. */
  stopSimulation: (id: string) => call<Simulation>('POST', `/api/simulations/${seg(id)}/stop`),
  deleteSimulation: (id: string) => call<void>('DELETE', `/api/simulations/${seg(id)}`),

  flows: (filter: { name?: string; status?: string; q?: string }, offset?: string) =>
    call<Page<Flow>>('GET', '/api/flows' + query({ ...filter, offset, limit: 25 })),
  flowSummary: () => call<FlowSummary>('GET', '/api/flows/summary'),
  flow: (id: string) => call<FlowDetail>('GET', `/api/flows/${seg(id)}`),
  cancelFlow: (id: string) => call<FlowDetail>('POST', `/api/flows/${seg(id)}/cancel`),
  /** The answer is the flow that goes on, or the one that begins. */
  retryFlow: (id: string, from?: string) => call<FlowDetail>('POST', `/api/flows/${seg(id)}/retry`, from ? { from } : {}),

  /** The newest first; q is part of an e-mail address or a user name. */
  users: (filter: { q?: string; suspended?: true }, offset?: string) =>
    call<Page<ManagedUser>>('GET', '/api/admin/users' + query({ ...filter, offset, limit: 25 })),
  /** Whoever is suspended already gets another reason. */
  suspendUser: (id: string, reason?: string) => call<ManagedUser>('POST', `/api/admin/users/${seg(id)}/suspend`, reason ? { reason } : {}),
  restoreUser: (id: string) => call<ManagedUser>('POST', `/api/admin/users/${seg(id)}/restore`),
  /** With the channel and all videos. */
  deleteUser: (id: string) => call<void>('DELETE', `/api/admin/users/${seg(id)}`),
  mail: () => call<Page<OutboxMail>>('GET', '/api/admin/mail' + query({ limit: 100 })),
}
