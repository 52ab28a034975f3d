import { expect, it } from 'vitest'
import { hasCandidates, iceOf, preferH264, restartFragment, withEstimate, withIce } from './sdp'

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

const offer = [
  'v=0',
  'a=group:BUNDLE 0 1',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:0',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:secretsecretsecretsecret',
  'a=candidate:1 1 udp 1 192.0.2.1 9 typ host',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:1',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:secretsecretsecretsecret',
  'a=candidate:1 1 udp 1 192.0.2.1 9 typ host',
  '',
].join('\r\n')

it('reads credentials and candidates once, and says when there are none', () => {
  expect(iceOf(offer)).toEqual({ ufrag: 'abcd', pwd: 'secretsecretsecretsecret', candidates: ['a=candidate:1 1 udp 1 192.0.2.1 9 typ host'] })
  expect(iceOf('v=0\r\n')).toBeNull()
  expect(iceOf(offer + Array.from({ length: 500 }, (_, i) => `a=candidate:${i} 1 udp 1 192.0.2.1 ${i} typ host\r\n`).join(''))?.candidates).toHaveLength(64)
})

it('writes the fragment of an ICE restart', () => {
  expect(restartFragment(offer)).toBe(
    'a=ice-ufrag:abcd\r\na=ice-pwd:secretsecretsecretsecret\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n',
  )
})

it('puts new credentials and candidates into the answer', () => {
  const answer = withIce(offer, { ufrag: 'new', pwd: 'newpwd', candidates: ['a=candidate:2 1 udp 1 192.0.2.9 9 typ host'] })
  expect(answer.match(/a=ice-ufrag:new/g)).toHaveLength(2)
  expect(answer.match(/a=candidate/g)).toHaveLength(1)
  expect(answer).not.toContain('192.0.2.1 ')
  expect(answer.indexOf('a=candidate:2')).toBeLessThan(answer.indexOf('m=audio'))
})

it('bounds the estimate at the codecs of the video alone', () => {
  const answer = [
    'v=0',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'a=rtpmap:111 opus/48000/2',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    'm=video 9 UDP/TLS/RTP/SAVPF 102 103 96',
    'a=rtpmap:102 H264/90000',
    'a=fmtp:102 packetization-mode=1;profile-level-id=42e01f',
    'a=rtpmap:103 rtx/90000',
    'a=fmtp:103 apt=102',
    'a=rtpmap:96 VP8/90000',
    '',
  ].join('\r\n')
  const lines = withEstimate(answer, { start: 1000, min: 100 }).split('\r\n')
  const bounds = 'x-google-start-bitrate=1000;x-google-min-bitrate=100'
  expect(lines.filter((line) => line.startsWith('a=fmtp:'))).toEqual([
    'a=fmtp:111 minptime=10;useinbandfec=1',
    `a=fmtp:102 packetization-mode=1;profile-level-id=42e01f;${bounds}`,
    'a=fmtp:103 apt=102',
    `a=fmtp:96 ${bounds}`,
  ])
  expect(lines.filter((line) => !line.startsWith('a=fmtp:'))).toEqual(answer.split('\r\n').filter((line) => !line.startsWith('a=fmtp:')))
  expect(withEstimate('v=0\r\nm=audio 9 RTP 0\r\n', { start: 1, min: 1 })).toBe('v=0\r\nm=audio 9 RTP 0\r\n')
})
