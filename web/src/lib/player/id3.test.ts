import { describe, expect, it } from 'vitest'
import { readTexts } from './id3'

const ascii = (text: string) => [...text].map((char) => char.charCodeAt(0))
const syncSafe = (n: number) => [(n >> 21) & 127, (n >> 14) & 127, (n >> 7) & 127, n & 127]
const size32 = (n: number) => [(n >>> 24) & 255, (n >> 16) & 255, (n >> 8) & 255, n & 255]
const utf8 = (text: string) => [...new TextEncoder().encode(text)]
const utf16 = (text: string) => [...text].flatMap((char) => [char.charCodeAt(0) & 255, char.charCodeAt(0) >> 8])

const txxx = (description: string, value: string, version = 4) => {
  const body = [3, ...utf8(description), 0, ...utf8(value)]
  return [...ascii('TXXX'), ...(version === 4 ? syncSafe(body.length) : size32(body.length)), 0, 0, ...body]
}
const tag = (frames: number[], version = 4, flags = 0) => [...ascii('ID3'), version, 0, flags, ...syncSafe(frames.length), ...frames]
const read = (...bytes: number[]) => readTexts(new Uint8Array(bytes))

describe('readTexts', () => {
  it.each([3, 4])('reads ID3v2.%d', (version) => {
    const long = 'x'.repeat(300) // its size differs between the two
    expect(read(...tag([...txxx('a', '{"type":"❤️"}', version), ...txxx('b', long, version)], version))).toEqual([
      { description: 'a', value: '{"type":"❤️"}' },
      { description: 'b', value: long },
    ])
  })

  it('reads tags in a row, and past what it does not know', () => {
    const other = [...ascii('PRIV'), ...syncSafe(3), 0, 0, 1, 2, 3]
    expect(read(...tag([...other, ...txxx('a', '1')]), ...tag(txxx('b', '2')))).toHaveLength(2)
  })

  it('reads the other encodings, and a value that ends with a zero', () => {
    const frame = (content: number[]) => [...ascii('TXXX'), ...syncSafe(content.length), 0, 0, ...content]
    expect(read(...tag(frame([0, ...ascii('é'), 0, ...ascii('ü'), 0])))).toEqual([{ description: 'é', value: 'ü' }])
    expect(read(...tag(frame([1, 0xff, 0xfe, ...utf16('ab'), 0, 0, 0xff, 0xfe, ...utf16('cd')])))).toEqual([{ description: 'ab', value: 'cd' }])
    expect(read(...tag(frame([2, 0, 97, 0, 0, 0, 98])))).toEqual([{ description: 'a', value: 'b' }])
  })

  it('skips an extended header and padding', () => {
    expect(read(...tag([...syncSafe(6), 1, 0, ...txxx('a', '1'), ...new Array<number>(40).fill(0)], 4, 0x40))).toHaveLength(1)
  })

  it.each([
    ['nothing', []],
    ['another thing', ascii('this is no tag at all')],
    ['ID3v2.2', tag(txxx('a', '1'), 2)],
    ['a size beyond the end', tag(txxx('a', '1')).slice(0, -1)],
    ['a size with its eighth bit set', [...ascii('ID3'), 4, 0, 0, 0x80, 0, 0, 0]],
    ['a frame larger than the tag', tag([...ascii('TXXX'), ...syncSafe(99), 0, 0, 3, 97, 0, 98])],
    ['an unknown encoding', tag([...ascii('TXXX'), ...syncSafe(4), 0, 0, 9, 97, 0, 98])],
    ['a value that never begins', tag([...ascii('TXXX'), ...syncSafe(3), 0, 0, 3, 97, 98])],
    ['broken UTF-8', tag([...ascii('TXXX'), ...syncSafe(4), 0, 0, 3, 97, 0, 0xff])],
    ['a compressed frame', tag([...ascii('TXXX'), ...syncSafe(4), 0, 8, 3, 97, 0, 98])],
    ['an extended header larger than the tag', tag([...syncSafe(90), ...txxx('a', '1')], 4, 0x40)],
    ['an unsynchronised tag', tag(txxx('a', '1'), 4, 0x80)],
  ])('reads nothing of %s', (_name, bytes) => expect(read(...bytes)).toEqual([]))

  it('has limits', () => {
    const many = Array.from({ length: 1000 }, () => txxx('a', '1')).flat()
    expect(read(...tag(many))).toHaveLength(256)
    const huge = new Uint8Array(70_000)
    huge.set(tag(txxx('a', '1')))
    expect(readTexts(huge)).toEqual([])
  })

  it('never throws, whatever is changed or cut', () => {
    const good = tag([...txxx('serverlessvideo.reaction', '{"type":"❤️"}'), ...txxx('b', '2')])
    let state = 7
    const random = (n: number) => (state = (state * 48271) % 2147483647) % n
    for (let i = 0; i < 20_000; i++) {
      const bytes = good.slice(0, 1 + random(good.length))
      for (let changes = random(4); changes > 0; changes--) bytes[random(bytes.length)] = random(256)
      expect(readTexts(new Uint8Array(bytes)).length).toBeLessThanOrEqual(2)
    }
  })
})
