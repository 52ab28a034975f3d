import { expect, it } from 'vitest'
import { Gauge } from './gauge'

const now = Date.parse('2026-11-22T12:00:00Z')
const ntp = 2_208_988_800_000
const pair = { type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.04 }
const video = (more: object) => ({ type: 'inbound-rtp', kind: 'video', framesReceived: 50, framesDecoded: 48, ...more })

it('tells the delay by the playout time, whatever the difference of the clocks', () => {
  const skew = 90_000
  const reading = new Gauge().read(
    [
      pair,
      video({ estimatedPlayoutTimestamp: ntp + now + skew - 250 }),
      { type: 'remote-outbound-rtp', kind: 'video', remoteTimestamp: now + skew - 1020, timestamp: now - 1000 },
    ],
    now,
  )
  expect(reading).toMatchObject({ received: 50, decoded: 48 })
  expect(reading.latency).toBeCloseTo(0.25, 3)
})

it('tells it by the jitter buffer since the last reading else', () => {
  const gauge = new Gauge()
  gauge.read([pair, video({ jitterBufferDelay: 10, jitterBufferEmittedCount: 100 })], now)
  const reading = gauge.read([pair, video({ jitterBufferDelay: 11, jitterBufferEmittedCount: 110 })], now)
  expect(reading.latency).toBeCloseTo(0.12, 5)
})

it.each([
  ['nothing arrived', []],
  ['the buffer gave nothing', [video({ jitterBufferDelay: 0, jitterBufferEmittedCount: 0 })]],
  ['the clocks make no sense', [video({ estimatedPlayoutTimestamp: now - 3_600_000 }), { type: 'remote-outbound-rtp', kind: 'video', remoteTimestamp: now, timestamp: now }]],
])('says nothing when %s', (_name, entries) => {
  expect(new Gauge().read(entries, now).latency).toBeNull()
})
