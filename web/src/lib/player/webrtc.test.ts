import { describe, expect, it } from 'vitest'
import { ApiError } from '../api/client'
import { refusal, Watch } from './webrtc'

describe('Watch', () => {
  it('gives the first picture four seconds', () => {
    const watch = new Watch(1_000)
    expect(watch.note({ received: 0, decoded: 0 }, 5_000)).toBe('fine')
    expect(watch.note({ received: 90, decoded: 0 }, 5_001)).toBe('late') // arrives, and cannot be decoded
  })

  it('notices that pictures stop, and that they come again', () => {
    const watch = new Watch(0)
    expect(watch.note({ received: 10, decoded: 9 }, 500)).toBe('fine')
    expect(watch.note({ received: 10, decoded: 10 }, 3_500)).toBe('fine')
    expect(watch.note({ received: 10, decoded: 10 }, 3_501)).toBe('silent')
    expect(watch.note({ received: 11, decoded: 10 }, 4_000)).toBe('fine')
  })
})

it('tells refusals apart', () => {
  expect(refusal(new ApiError(404, 'x'))).toEqual({ reason: 'missing' })
  expect(refusal(new ApiError(0, 'x'))).toEqual({ reason: 'network' })
  expect(refusal(new ApiError(406, 'The stream has B-frames.'))).toEqual({ reason: 'unfit', text: 'The stream has B-frames.' })
  expect(refusal(new Error('no H264'))).toEqual({ reason: 'unfit', text: 'no H264' })
})
