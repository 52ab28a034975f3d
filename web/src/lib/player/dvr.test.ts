import { describe, expect, it } from 'vitest'
import { firstVariant, piecesOf, placeOf } from './dvr'

const media = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.000Z
#EXTINF:2.0,
1-0.mp4
#EXTINF:2.5,
1-1.mp4
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:00.000Z
#EXTINF:2.00000,
2-2.mp4
`
const multivariant = `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="a",URI="aac/dvr.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.42c01f,opus"

720p/dvr.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2
480p/dvr.m3u8
`
const noon = Date.parse('2026-11-22T12:00:00Z')

it('reads segments with their dates', () => {
  expect(piecesOf(media)).toEqual([
    { start: 0, duration: 2, programDateTime: noon },
    { start: 2, duration: 2.5, programDateTime: noon + 2_000 },
    { start: 4.5, duration: 2, programDateTime: noon + 60_000 },
  ])
  expect(piecesOf('#EXTM3U\n#EXTINF:2,\na\n#EXTINF:x,\nb')).toEqual([{ start: 0, duration: 2, programDateTime: null }])
  expect(piecesOf('')).toEqual([])
})

it('finds the first variant', () => {
  expect(firstVariant(multivariant)).toBe('720p/dvr.m3u8')
  expect(firstVariant(media)).toBeNull()
})

describe('placeOf', () => {
  const served = (answers: Record<string, string>) =>
    (async (url: string) => (url in answers ? new Response(answers[url]) : new Response('', { status: 404 }))) as unknown as typeof fetch
  const url = 'http://v.example/live/c/st-1/dvr.m3u8'

  it('is the second of a moment', async () => {
    const fetcher = served({ [url]: multivariant, 'http://v.example/live/c/st-1/720p/dvr.m3u8': media })
    expect(await placeOf(url, { date: noon + 3_000, behind: 0 }, fetcher)).toBe(3)
    expect(await placeOf(url, { date: noon + 61_000, behind: 0 }, fetcher)).toBe(5.5)
    expect(await placeOf(url, { behind: 4 }, served({ [url]: media }))).toBe(2.5)
  })

  it('fails when there is no past', async () => {
    await expect(placeOf(url, { behind: 4 }, served({}))).rejects.toThrow('404')
    await expect(placeOf(url, { behind: 4 }, served({ [url]: multivariant }))).rejects.toThrow('404')
  })
})
