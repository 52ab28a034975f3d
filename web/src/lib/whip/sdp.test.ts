import { expect, it } from 'vitest'
import { hasCandidates, preferH264 } from './sdp'

it('finds candidates', () => {
  expect(hasCandidates('v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n')).toBe(true)
  expect(hasCandidates('v=0\r\na=end-of-candidates\r\n')).toBe(false)
})

it('puts H264 with packetization mode 1 first and keeps the order of the rest', () => {
  const codec = (mimeType: string, sdpFmtpLine?: string) => ({ mimeType, sdpFmtpLine })
  const sorted = preferH264([
    codec('video/VP8'),
    codec('video/rtx', 'apt=96'),
    codec('video/H264', 'packetization-mode=0;profile-level-id=42001f'),
    codec('video/AV1'),
    codec('video/H264', 'packetization-mode=1;profile-level-id=42e01f'),
  ])
  expect(sorted.map((c) => c.mimeType)).toEqual(['video/H264', 'video/H264', 'video/VP8', 'video/rtx', 'video/AV1'])
  expect(sorted[0]?.sdpFmtpLine).toContain('packetization-mode=1')
})
