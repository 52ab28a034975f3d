// What people change of a video: between the fields of a form and the API.

import type { Video, VideoUpdate, Visibility } from './api/types'

export interface Fields {
  title: string
  description: string
  /** With commas between them. */
  tags: string
  event: string
  visibility: Visibility
}

/** The bounds of the API, in characters. */
export const longest = { title: 200, description: 5000, event: 64, tag: 100, tags: 50 }

export const visibilities: { value: Visibility; label: string; hint: string }[] = [
  { value: 'public', label: 'Public', hint: 'Everybody finds and sees it.' },
  { value: 'unlisted', label: 'Unlisted', hint: 'Everybody who has the link sees it; no list or search shows it.' },
  { value: 'private', label: 'Private', hint: 'Only you and administrators see it.' },
]

export function fieldsOf(video: Video): Fields {
  return {
    title: video.title ?? '',
    description: video.description ?? '',
    tags: (video.tags ?? []).join(', '),
    event: video.event ?? '',
    visibility: video.visibility,
  }
}

export function tagsIn(text: string): string[] {
  return [...new Set(text.split(',').map((tag) => tag.trim().replace(/\s+/g, ' ')).filter(Boolean))]
}

/** What is wrong with the fields and what would be right, by field; {} when nothing is. */
export function problemsOf(fields: Fields): Partial<Record<keyof Fields, string>> {
  const found: Partial<Record<keyof Fields, string>> = {}
  if (!/^[A-Za-z0-9_-]*$/.test(fields.event.trim())) {
    found.event = 'An event tag is one word of letters A to Z, digits, - and _, such as “summer-tour-26”.'
  }
  const tags = tagsIn(fields.tags)
  if (tags.length > longest.tags) found.tags = `These are ${tags.length} tags; ${longest.tags} are the most.`
  else if (tags.some((tag) => [...tag].length > longest.tag)) found.tags = `A tag has at most ${longest.tag} characters. Is a comma missing?`
  return found
}

/** Only what was changed: what stays untouched remains the plugins' to say. */
export function changesOf(video: Video, fields: Fields): VideoUpdate {
  const before = fieldsOf(video)
  const update: VideoUpdate = {}
  const differs = (field: 'title' | 'description' | 'event') => fields[field].trim() !== before[field]
  if (differs('title')) update.title = fields.title.trim()
  if (differs('description')) update.description = fields.description.trim()
  if (differs('event')) update.event = fields.event.trim()
  const tags = tagsIn(fields.tags)
  if (tags.join(',') !== tagsIn(before.tags).join(',')) update.tags = tags
  if (fields.visibility !== before.visibility) update.visibility = fields.visibility
  return update
}
