import { expect, it } from 'vitest'
import { newVideo, progress, reaction, starvation, streamChange, videoId, viewCount } from './events'

const change = (event_name: string) => ({ type: 'Stream State Change', detail: { event_name, channel_name: 'c1', stream_id: 'st-1' } })

it('reads starts and ends, and nothing else, as stream changes', () => {
  expect(streamChange(change('Stream Start'))).toEqual({ channel: 'c1', streamId: 'st-1', live: true })
  expect(streamChange(change('Stream End'))).toEqual({ channel: 'c1', streamId: 'st-1', live: false })
  expect(streamChange(change('Starvation Start'))).toBeNull()
  expect(streamChange({ type: 'ViewCountUpdated', detail: {} })).toBeNull()
  expect(streamChange({ type: 'Stream State Change', detail: { event_name: 'Stream End' } })).toBeNull()
})

it('reads whether a broadcaster is away', () => {
  expect(starvation(change('Starvation Start'))).toEqual({ channel: 'c1', streamId: 'st-1', away: true })
  expect(starvation(change('Starvation End'))).toEqual({ channel: 'c1', streamId: 'st-1', away: false })
  expect(starvation(change('Stream Start'))).toBeNull()
  expect(starvation({ type: 'Stream State Change', detail: { event_name: 'Starvation End' } })).toBeNull()
  expect(starvation({ type: 'ViewCountUpdated', detail: { event_name: 'Starvation End', channel_name: 'c1' } })).toBeNull()
})

it('reads view counts', () => {
  expect(viewCount({ type: 'ViewCountUpdated', detail: { channel_name: 'c1', stream_id: 's', view_count: 7 } })).toEqual({ channel: 'c1', streamId: 's', count: 7 })
  expect(viewCount({ type: 'ViewCountUpdated', detail: { channel_name: 'c1', view_count: '7' } })?.count).toBe(0)
})

it('knows which video a message is about', () => {
  expect(videoId({ type: 'VideoStatusUpdated', detail: { id: 'st-1' } })).toBe('st-1')
  expect(videoId({ type: 'MP4ProcessingComplete', detail: { id: 'st-1' } })).toBe('st-1')
  expect(videoId({ type: 'preValidate.duration_plugin', detail: { id: 'st-1' } })).toBe('st-1')
  expect(videoId({ type: 'Recording State Change', detail: { stream_id: 'st-1' } })).toBe('st-1')
  expect(videoId({ type: 'ViewCountUpdated', detail: { id: 'st-1' } })).toBe('')
})

it('makes a row of a video that became valid', () => {
  const detail = { id: 'st-1', status: 'valid', channel_name: 'c1', author: { username: 'otter' }, createdAt: '2026-11-22T12:00:00Z', durationmillis: 15_000, thumbnail: 't', stream_url: 's', playback_url: 'p', title: 'T', tags: ['a', 1] }
  expect(newVideo({ type: 'VideoStatusUpdated', detail })).toMatchObject({ id: 'st-1', channel: 'c1', author: { username: 'otter' }, duration: 15_000, streamURL: 's', tags: ['a'] })
  expect(newVideo({ type: 'VideoStatusUpdated', detail: { ...detail, status: 'invalid' } })).toBeNull()
  expect(newVideo({ type: 'LifeCycleComplete', detail })).toBeNull()
})

it('keeps reactions on the picture', () => {
  expect(reaction({ type: 'StreamMetadataSent', detail: { type: 'heart', x: -3, y: 9, userId: 'u' } })).toEqual({ type: 'heart', x: 0, y: 1, userId: 'u' })
  expect(reaction({ type: 'StreamMetadataSent', detail: { x: 0.5, y: 0.5 } })).toBeNull()
})

it('reads how far the files of a video are', () => {
  const message = (detail: Record<string, unknown>) => ({ type: 'MP4ProcessingProgress', detail })
  expect(progress(message({ id: 'st-1', channel_name: 'c1', step: 'storyboard', percent: 67 }))).toEqual({ id: 'st-1', step: 'storyboard', percent: 67 })
  expect(progress(message({ id: 'st-1', percent: 400 }))).toEqual({ id: 'st-1', step: '', percent: 100 })
  expect(progress(message({ percent: 1 }))).toBeNull()
  expect(progress({ type: 'MP4ProcessingStarted', detail: { id: 'st-1' } })).toBeNull()
  expect(videoId(message({ id: 'st-1' }))).toBe('')
})
