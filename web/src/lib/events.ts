// Reads realtime messages into what pages need of them.

import type { Message, Video } from './api/types'

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const number = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0)

export interface StreamChange {
  channel: string
  streamId: string
  live: boolean
}

/** A stream that starts or ends; null for everything else. */
export function streamChange(message: Message): StreamChange | null {
  if (message.type !== 'Stream State Change') return null
  const name = text(message.detail.event_name)
  if (name !== 'Stream Start' && name !== 'Stream End') return null
  const channel = text(message.detail.channel_name)
  if (!channel) return null
  return { channel, streamId: text(message.detail.stream_id), live: name === 'Stream Start' }
}

/** A broadcaster who is away from a broadcast, or back in it; null for everything else. */
export function starvation(message: Message): { channel: string; streamId: string; away: boolean } | null {
  if (message.type !== 'Stream State Change') return null
  const name = text(message.detail.event_name)
  if (name !== 'Starvation Start' && name !== 'Starvation End') return null
  const channel = text(message.detail.channel_name)
  if (!channel) return null
  return { channel, streamId: text(message.detail.stream_id), away: name === 'Starvation Start' }
}

export function viewCount(message: Message): { channel: string; streamId: string; count: number } | null {
  if (message.type !== 'ViewCountUpdated') return null
  const channel = text(message.detail.channel_name)
  if (!channel) return null
  return { channel, streamId: text(message.detail.stream_id), count: number(message.detail.view_count) }
}

/** The id of the video that a message is about, "" when it is about none. */
export function videoId(message: Message): string {
  const about = ['VideoStatusUpdated', 'LifeCycleComplete', 'LifeCycleStarted', 'VideoDeleted', 'recording-ready', 'Plugin failed']
  if (message.type === 'Recording State Change') return text(message.detail.stream_id)
  if (message.type === 'MP4ProcessingProgress') return '' // it changes nothing of the video
  if (!about.includes(message.type) && !message.type.startsWith('MP4Processing') && !/^(pre|post)(Validate|Metadata)\./.test(message.type)) return ''
  return text(message.detail.id)
}

export interface Progress {
  id: string
  step: string
  /** Of the whole work. */
  percent: number
}

/** How far the files of a video are; null for everything else. */
export function progress(message: Message): Progress | null {
  if (message.type !== 'MP4ProcessingProgress') return null
  const id = text(message.detail.id)
  if (!id) return null
  return { id, step: text(message.detail.step), percent: Math.min(100, Math.max(0, number(message.detail.percent))) }
}

/** A video that became valid, as a row of a list; null for everything else. */
export function newVideo(message: Message): Video | null {
  if (message.type !== 'VideoStatusUpdated') return null
  const d = message.detail
  if ((text(d.status) || 'valid') !== 'valid') return null
  const id = text(d.id)
  if (!id) return null
  const author = d.author as { username?: unknown } | undefined
  return {
    id,
    channel: text(d.channel_name),
    author: { username: text(author?.username) },
    createdAt: text(d.createdAt) || new Date().toISOString(),
    thumbnail: text(d.thumbnail),
    streamURL: text(d.stream_url) || `/vod/${encodeURIComponent(id)}/master.m3u8`,
    playbackURL: text(d.playback_url),
    title: text(d.title) || undefined,
    tags: Array.isArray(d.tags) ? d.tags.filter((tag): tag is string => typeof tag === 'string') : undefined,
    duration: number(d.durationmillis),
    width: number(d.width),
    height: number(d.height),
    visibility: 'public',
    status: 'valid',
  }
}

export interface Reaction {
  type: string
  x: number
  y: number
  userId: string
}

/** A reaction with its place on the picture, 0 to 1 from the top left. */
export function reaction(message: Message): Reaction | null {
  return message.type === 'StreamMetadataSent' ? toReaction(message.detail) : null
}

/** A reaction as it is sent and as recordings carry it. */
export function toReaction(detail: Record<string, unknown>): Reaction | null {
  const type = text(detail.type)
  if (!type) return null
  const place = (value: unknown) => Math.min(1, Math.max(0, number(value)))
  return { type, x: place(detail.x), y: place(detail.y), userId: text(detail.userId) }
}
