// Content for looking at the pages: full, empty, signed out and broken worlds.

import { flows } from './flows.mjs'

const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString()
const list = (data, nextPage) => ({ data, count: data.length, ...(nextPage ? { nextPage } : {}) })

export const me = { id: '01me', email: 'nora@example.com', username: 'brave-otter-42', roles: ['viewer', 'broadcaster', 'admin'] }
const people = [
  ['01a', 'quiet-falcon-7'], ['01b', 'sunny-maple-19'], ['01c', 'bold-river-88'], ['01d', 'amber-lynx-3'], [me.id, me.username],
]
const titles = ['Keynote rehearsal from the main stage', 'Sunset over the harbour', undefined, 'How we moved 40 services to one binary', 'Street food tour: the night market in Hanoi', 'Office hours #12', undefined, 'Piano, one take']

export const videos = titles.map((title, i) => ({
  id: `st-${i}`,
  channel: people[i % people.length][0],
  author: { username: people[i % people.length][1] },
  createdAt: ago([4, 50, 190, 1500, 2900, 9000, 20000, 70000][i]),
  thumbnail: i === 6 ? undefined : `/media/thumb${i % 4}.jpg`,
  streamURL: '/media/vod/master.m3u8',
  playbackURL: '/media/vod.mp4',
  storyboardURL: '/media/vod/storyboard.vtt',
  title,
  tags: i % 3 === 0 ? ['keynote', 'engineering', 'live demo'] : undefined,
  visibility: 'public',
  duration: [754_000, 65_000, 31_500, 3_725_000, 1_284_000, 2_700_000, 12_000, 245_000][i],
  status: 'valid',
}))

const mine = [
  { ...videos[4], id: 'st-m0', channel: me.id, author: { username: me.username }, createdAt: ago(1), status: 'processing', title: undefined, thumbnail: undefined, playbackURL: undefined },
  { ...videos[0], id: 'st-m1', channel: me.id, author: { username: me.username }, status: 'valid', visibility: 'unlisted', event: 'summer-tour-26', description: 'The whole rehearsal, in one take.\nWith the sound of the hall.' },
  { ...videos[2], id: 'st-m2', visibility: 'private', channel: me.id, author: { username: me.username }, status: 'invalid', duration: 4200, reason: 'The video is 4.2 s long; it must be longer than 10 s.' },
  { ...videos[3], id: 'st-m3', channel: me.id, author: { username: me.username }, status: 'failed', reason: 'The content moderation plugin did not answer within 15 minutes.' },
  { ...videos[7], id: 'st-m4', channel: me.id, author: { username: me.username }, status: 'failed', playbackURL: undefined, thumbnail: undefined, reason: 'The MP4 could not be made: the recording cannot be read.' },
]

const made = { state: 'done', percent: 100, attempt: 1, compute: 'local', updatedAt: ago(1) }
const processing = {
  'st-m0': { ...made, state: 'processing', step: 'storyboard', percent: 62 },
  'st-m1': made,
  'st-m4': { ...made, state: 'failed', percent: 0, reason: 'The MP4 could not be made: the recording cannot be read.' },
}

/** When the broadcast of the first channel began, Unix milliseconds; each server begins it anew. */
const clock = { since: 0 }

const channels = [
  { name: '01a', username: 'quiet-falcon-7', playbackURL: '/live/01a/master.m3u8', live: true, streamId: 'st-l1', viewCount: 1284, get startedAt() { return new Date(clock.since).toISOString() }, thumbnail: '/media/thumb1.jpg' },
  { name: '01b', username: 'sunny-maple-19', playbackURL: '/live/01b/master.m3u8', live: true, streamId: 'st-l2', viewCount: 37, startedAt: ago(6), thumbnail: '/media/thumb3.jpg', reconnecting: true },
  { name: '01d', username: 'amber-lynx-3', playbackURL: '/live/01d/master.m3u8', live: true, streamId: 'st-l3', viewCount: 1, startedAt: ago(0) },
]

let at = Date.now() - 300_000
const step = (after, key, icon, title, subtitle, description = '', parent) => ({
  type: 'service', videoId: 'st-m1', createdAt: new Date((at += after)).toISOString(), key, icon, title, subtitle, description, ...(parent ? { parent } : {}),
})
const history = [
  step(0, 'start', 'live', 'Stream started', 'brave-otter-42 went live', ''),
  step(450, 'rec', 'video', 'Recording started', 'Segments go into the store as they complete'),
  step(96_000, 'end', 'stop', 'Stream ended', '1:36 on air'),
  step(120, 'recend', 'database', 'Recording saved', '48 segments, 27 MB'),
  step(40, 'mp4', 'gear', 'Making the MP4', 'On this node'),
  step(1900, 'mp4c', 'film', 'MP4 complete', '1280 × 720, 1:36', 'Copied without re-encoding'),
  step(640, 'thumb', 'film', 'Thumbnail made', 'At 0:48'),
  step(90, 'life', 'sparkles', 'Plugin lifecycle started', 'Four hooks'),
  step(12, 'pre', 'shield', 'preValidate', '2 plugins', ''),
  step(3, 'dur', 'check', 'duration_plugin', 'Valid after 8 ms', '', 'pre'),
  step(4200, 'mod', 'check', 'content_moderation_plugin', 'Valid after 4.2 s', '', 'pre'),
  step(6, 'meta', 'tag', 'postMetadata', '2 plugins', ''),
  step(800, 'title', 'check', 'generate_title_plugin', 'Keynote rehearsal from the main stage', '', 'meta'),
  step(120, 'tags', 'alert', 'generate_tags_plugin', 'Plugin failed', 'No answer within 30 s', 'meta'),
  step(30, 'valid', 'check-circle', 'Published', 'Listed for everybody'),
  { type: 'metric', videoId: 'st-m1', createdAt: ago(1), key: 'peak', label: 'Peak viewers', value: 1284 },
  { type: 'metric', videoId: 'st-m1', createdAt: ago(1), key: 'latency', label: 'MP4 made in', value: '1.9 s' },
  { type: 'metric', videoId: 'st-m1', createdAt: ago(1), key: 'size', label: 'Size', value: '27 MB' },
]

const session = (user, more = {}) => ({ user, signUp: { open: true, domains: ['example.com'] }, setup: false, ...more })

let asked = 0
const health = () => ({
  streamId: 'st-l9', protocol: 'WHIP', reconnecting: false, videoCodec: 'H264', audioCodec: 'Opus', width: 1280, height: 720, frameRate: 29.97,
  bitrate: 2_300_000 + 350_000 * Math.sin(asked++ / 4), keyFrameInterval: 2, packetsLost: 3, lossPercent: 0.04, jitterMillis: 6, roundTripMillis: 24, viewers: 37,
  rungs: [
    { name: '480p', width: 854, height: 480, bitrate: 1_100_000, state: 'on' },
    { name: '360p', width: 640, height: 360, bitrate: 700_000, state: 'refused', reason: 'The server is busy; it makes no more qualities for now.' },
  ],
  advice: [],
})

const streams = JSON.stringify({ source: ['serverlessVideo.streaming'], detail: { event_name: ['Stream Start'] } }, null, 2)
const rule = (id, name, more) => ({ id, name, description: '', enabled: true, pattern: streams, target: { type: 'webhook', url: 'https://chat.example.com/hooks/7' }, maxTries: 12, createdAt: ago(3000), updatedAt: ago(200), waiting: 0, dead: 0, ...more })
const rules = [
  rule('ru-1', 'Tell the team chat', { description: 'Somebody goes live', waiting: 2, dead: 3 }),
  rule('ru-2', 'Search index', { target: { type: 'webhook', url: 'https://search.example.com/in' }, enabled: false }),
  rule('ru-3', 'Write refusals down', { target: { type: 'log' } }),
]
const last = { at: ago(4), durationMillis: 212, status: 503, error: '503 Service Unavailable: the queue is full' }
const delivery = (id, state, more) => ({ id, eventId: 'e' + id, source: 'serverlessVideo.streaming', detailType: 'Stream State Change', state, createdAt: ago(5), tries: 1, ...more })
const deliveries = [
  delivery('msg_4', 'pending', { nextTryAt: ago(-2), tries: 3, last }), delivery('msg_3', 'delivered', { endedAt: ago(4), last: { at: ago(4), durationMillis: 38, status: 204 } }),
  delivery('msg_2', 'dead', { endedAt: ago(1), tries: 12, last }), delivery('msg_1', 'delivered', { endedAt: ago(4), last: { at: ago(4), durationMillis: 41, status: 200 } }),
]
const detail = { ...deliveries[2], attempts: [{ at: ago(90), durationMillis: 15000, error: 'no answer within 15s' }, last], event: { version: '0', id: 'e', source: 'serverlessVideo.streaming', 'detail-type': 'Stream State Change', detail: { event_name: 'Stream Start', channel_name: '01a' } } }

const logged = (id, minutes, detailType, about, detail, source = 'serverlessVideo.streaming') => ({
  id, at: ago(minutes), source, detailType, about, event: { version: '0', id, 'detail-type': detailType, source, account: 'local', time: ago(minutes), region: 'local', resources: [], detail },
})
const logs = [
  logged('e7', 0.2, 'ViewCountUpdated', 'st-l1', { stream_id: 'st-l1', channel_name: '01a', view_count: 112 }, 'serverlessVideo.viewCounter'),
  logged('e6', 1, 'preValidate.content_moderation_plugin', 'st-0', { taskToken: '(masked)', video: { id: 'st-0' } }, 'serverlessVideo.pluginManager'),
  logged('e5', 3, 'MP4ProcessingFailed', 'st-m4', { id: 'st-m4', channel_name: '01me', reason: 'the recording has no key frame' }, 'serverlessVideo.videoManager'),
  logged('emsg_4', 5, 'Stream State Change', 'st-l1', { event_name: 'Stream Start', stream_id: 'st-l1', channel_name: '01a' }),
  logged('e3', 3000, 'BroadcastUserCreated', undefined, { sub: '01a', email: 'lee@example.com', username: 'brave-otter' }, 'serverlessVideo.auth'),
]
const replay = (id, state, more) => ({ id, ruleId: 'ru-1', ruleName: 'Tell the team chat', from: ago(3000), to: ago(30), state, events: 48211, lookedAt: 48211, matched: 1204, queued: 1204, withdrawn: 0, createdBy: '01me', createdAt: ago(20), ...more })
const replays = [
  replay('re-4', 'running', { lookedAt: 20100, matched: 1000, queued: 1000, pattern: '{"detail":{"event_name":["Stream Start"]}}', reason: 'it waits until fewer deliveries of the rule are waiting' }),
  replay('re-3', 'done', { endedAt: ago(18) }), replay('re-2', 'cancelled', { queued: 900, withdrawn: 310, endedAt: ago(90) }),
  replay('re-1', 'failed', { ruleName: 'Search index', lookedAt: 100, matched: 4, queued: 4, reason: 'the rule was deleted', endedAt: ago(300) }),
]
const counted = (more) => ({ waiting: 0, working: 0, valid: 0, invalid: 0, failed: 0, dropped: 0, ...more })
const took = (count, p50, p95, max) => ({ count, p50, p95, max })
const simulation = (id, more) => ({
  id, state: 'removed', ending: 'finished', startedBy: 'brave-fox', createdAt: ago(200), endedAt: ago(195), asked: 10, atOnce: 4, keep: false, total: 10, percent: 100,
  counts: counted({ valid: 9, invalid: 1 }), measures: { processing: took(10, 2140, 4880, 5210), lifecycle: took(10, 31, 64, 71), whole: took(10, 2200, 4960, 5300), perMinute: 86.4, speed: 131.25 }, skipped: [], ...more,
})
const simulations = [
  simulation('sim-3', { state: 'running', ending: undefined, endedAt: undefined, createdAt: ago(0.4), asked: 12, total: 9, percent: 46, counts: counted({ valid: 3, invalid: 1, working: 2, waiting: 3 }), measures: { processing: took(4, 2140, 4880, 5210), lifecycle: took(4, 31, 64, 71), whole: took(4, 2200, 4960, 5300), perMinute: 72.1, speed: 98.3 }, skipped: ['chat_plugin', 'generate_title_plugin'] }),
  simulation('sim-2', { state: 'kept', startedBy: undefined, counts: counted({ valid: 8, failed: 2 }) }), simulation('sim-1', { createdAt: ago(9000), ending: 'stopped', counts: counted({ valid: 4, dropped: 6 }), percent: 40 }), simulation('sim-0', { createdAt: ago(9900) }),
]
const simulated = [
  ['valid', { title: 'Keynote rehearsal from the main stage', processing: 2100, lifecycle: 31, whole: 2180 }], ['valid', { processing: 1900, whole: 1950 }], ['invalid', { reason: 'the video is 4.2 s long; it must be longer than 10 s', whole: 840, duration: 4200 }], ['valid', { title: 'Night market, live', whole: 5300 }],
  ['processing', { step: 'storyboard', percent: 61, title: 'A walk along the harbour while the fog lifts and the first boats come in' }], ['plugins', { percent: 90 }], ['waiting', { percent: 0 }], ['waiting', { percent: 0, title: 'Street music' }], ['waiting', { percent: 0 }],
].map(([state, more], i) => ({ id: `sim-3-${i + 1}`, number: i + 1, original: `st-${i}`, channel: '01a', duration: 96_000 * (i + 1), state, percent: 100, processing: 0, lifecycle: 0, whole: 0, ...more }))

export const full = {
  ...flows(ago, list),
  'GET /api/archive': { keepDays: 30, maxSize: 2 ** 30, events: 48211, size: 38_600_000, oldest: ago(3000) },
  'GET /api/archive/events': list(logs, 'next'),
  'GET /api/archive/types': { ...list([...new Map(logs.map((e) => [e.detailType, { source: e.source, detailType: e.detailType, count: 1 }])).values()]), complete: true },
  'GET /api/archive/replays': list(replays),
  'POST /api/archive/count': { lookedAt: 48211, matched: 1204 },
  'GET /api/rules/deliveries': list(deliveries.map((d, i) => ({ ...d, eventId: 'emsg_4', trying: i === 0, ruleId: `ru-${(i % 3) + 1}`, ruleName: rules[i % 3].name, replay: i === 3 ? 're-3' : undefined }))),
  'GET /api/rules/ru-1/deliveries/msg_2': detail,
  clock,
  'GET /api/auth/session': session(me),
  'GET /api/videos': list(videos, 'next'),
  'GET /api/channels': list(channels),
  'GET /api/channel': { ...channels[0], startedAt: undefined, thumbnail: undefined, viewCount: undefined, name: me.id, username: me.username, live: false, streamId: undefined, ingestURL: 'https://video.example.com/whip/01me', rtmpURL: 'rtmp://video.example.com:1935/live', streamKey: 'sk_live_0a9f8e7d6c5b4a39281706f5e4d3c2b1', playbackURL: 'https://video.example.com/live/01me/master.m3u8' },
  'GET /api/channel/videos': list(mine),
  'GET /api/channel/*/videos': list(videos.slice(0, 5)),
  'GET /api/channel/*/retention': { keepDays: 0, keepBytes: 0, recordings: 42, bytes: 38_400_000_000 },
  'PUT /api/channel/*/retention': { keepDays: 30, keepBytes: 0, recordings: 42, bytes: 38_400_000_000 },
  [`GET /api/channel/${me.id}/retention/preview`]: { recordings: 17, bytes: 12_900_000_000, left: 25 },
  'GET /api/channel/*': (path) => channels.find((c) => path.endsWith('/' + c.name)) ?? { name: path.split('/').at(-1), username: people.find(([id]) => path.endsWith(id))?.[1] ?? 'someone', playbackURL: '', live: false },
  'GET /api/video/*': (path) => [...videos, ...mine].find((v) => path.endsWith('/' + v.id)),
  'GET /api/video/*/history': list(history),
  'PATCH /api/video/*': (path) => ({ ...mine.find((v) => path.endsWith('/' + v.id)), title: 'A better title', visibility: 'private' }),
  'GET /api/video/*/processing': (path) => processing[path.split('/')[3]],
  'POST /api/video/*/processing': { ...made, state: 'waiting', percent: 0, attempt: 2 },
  'POST /api/viewers/*': null,
  'POST /api/channel/*/metadata': null,
  'GET /api/rules': list(rules),
  'GET /api/rules/*': (path) => rules.find((rule) => path.endsWith(rule.id)),
  'GET /api/rules/*/deliveries': list(deliveries),
  'POST /api/rules/test': { matches: true },
  'POST /api/rules': {
    type: 'about:blank', title: 'Bad Request', status: 400, code: 'invalid', detail: 'body.pattern: a number must stand after ">"',
    errors: [{ location: 'body.pattern', message: 'a number must stand after ">"', line: 3, column: 34, path: 'detail.count[0].numeric[1]' }],
  },
  'GET /api/simulations': list(simulations),
  'GET /api/simulations/*': (path) => simulations.find((run) => path.endsWith(run.id)),
  'GET /api/simulations/*/videos': list(simulated),
  'POST /api/simulations': { type: 'about:blank', title: 'Conflict', status: 409, code: 'conflict', detail: 'the simulation sim-3 runs: wait for its end, or stop it' },
  'GET /api/admin/mail': list([{ id: '1', to: 'lee@example.com', subject: 'Confirm your address', status: 'shown', link: 'https://video.example.com/confirm?token=8f2c1d0e9b7a6f5e4d3c2b1a09f8e7d6', createdAt: ago(12) }]),
}

const onAir = { live: true, streamId: 'st-l9', startedAt: ago(3), viewCount: 37 }
/** The broadcaster's own channel is live, and all is well. */
export const casting = {
  ...full,
  'GET /api/channel': { ...full['GET /api/channel'], ...onAir },
  'GET /api/channel/*': (path) => (path.endsWith('/health') ? health() : path.endsWith('/' + me.id) ? { name: me.id, username: me.username, playbackURL: '', ...onAir } : full['GET /api/channel/*'](path)),
}
/** Its way to the server is bad. */
export const struggling = {
  ...casting,
  'GET /api/channel/*': (path) =>
    path.endsWith('/health')
      ? { ...health(), protocol: 'RTMP', audioCodec: 'AAC', bitrate: 900_000, frameRate: 17, lossPercent: 7.4, packetsLost: 981, jitterMillis: 88, roundTripMillis: 410, keyFrameInterval: 8.3, advice: ['Set the key frame interval of your encoder to 2 s.', 'Send less than 1,500 kbit/s, or move nearer to the router.'], rungs: [{ name: '480p', width: 854, height: 480, bitrate: 0, state: 'failed', reason: 'ffmpeg ended; it is tried again in 30 s.' }] }
      : casting['GET /api/channel/*'](path),
}
/** Its page was closed a moment ago. */
export const waiting = { ...casting, 'GET /api/channel/*': (path) => (path.endsWith('/health') ? undefined : { ...casting['GET /api/channel/*'](path), reconnecting: true }) }

export const signedOut = { ...full, 'GET /api/auth/session': session(null) }
export const empty = { 'GET /api/auth/session': session(null, { setup: true }), 'GET /api/videos': list([]), 'GET /api/channels': list([]) }
export const nothingFound = { ...full, 'GET /api/videos': list([]) }
/** Changes are refused. */
export const stubborn = { ...full, 'PATCH /api/video/*': { status: 503, title: 'Unavailable', detail: 'The database does not answer. Please try again in a moment.' } }
export const quiet = { ...full, 'GET /api/flows': list([]), 'GET /api/flows/summary': { counts: [], nodes: full['GET /api/flows/summary'].nodes.slice(0, 1) }, 'GET /api/simulations': list([]), 'GET /api/channels': list([]), 'GET /api/channel/videos': list([]) }
export const broken = { 'GET /api/auth/session': session(null), 'GET /api/videos': { status: 503, title: 'Unavailable', detail: 'The database does not answer. Please try again in a moment.' }, 'GET /api/channels': { status: 503, title: 'Unavailable', detail: 'The database does not answer.' } }
