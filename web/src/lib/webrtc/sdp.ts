// The little of SDP (RFC 8866) that WHIP and WHEP clients have to know.

/** Whether the description has at least one ICE candidate. */
export function hasCandidates(sdp: string): boolean {
  return /^a=candidate:/m.test(sdp)
}

interface Codec {
  mimeType: string
  sdpFmtpLine?: string
}

/**
 * Orders codecs so that H264 in packetization mode 1 comes first, then any
 * H264, then the rest (RTX and the like keep their order behind).
 */
export function preferH264<T extends Codec>(codecs: readonly T[]): T[] {
  const rank = (codec: Codec) => {
    if (codec.mimeType.toLowerCase() !== 'video/h264') return 2
    return codec.sdpFmtpLine?.includes('packetization-mode=1') ? 0 : 1
  }
  return [...codecs].sort((a, b) => rank(a) - rank(b))
}

/** What an ICE restart exchanges: credentials and candidates. */
export interface Ice {
  ufrag: string
  pwd: string
  /** a=candidate lines, whole. */
  candidates: string[]
}

/** More candidate lines than any server has; what comes above is not read. */
const mostCandidates = 64

/** Reads credentials and candidates of a description or a fragment (RFC 8840, section 9); null without credentials. */
export function iceOf(sdp: string): Ice | null {
  const ufrag = /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1]
  const pwd = /^a=ice-pwd:(\S+)/m.exec(sdp)?.[1]
  if (!ufrag || !pwd) return null
  const candidates = [...new Set(sdp.match(/^a=candidate:[^\r\n]*/gm) ?? [])]
  return { ufrag, pwd, candidates: candidates.slice(0, mostCandidates) }
}

/** The application/trickle-ice-sdpfrag (RFC 8840, section 9) of an offer that restarts ICE, for a PATCH (RFC 9725, section 4.3.3). */
export function restartFragment(offer: string): string {
  const ice = iceOf(offer)
  const media = /^m=[^\r\n]*/m.exec(offer)?.[0] ?? 'm=audio 9 UDP/TLS/RTP/SAVPF 0'
  const mid = /^a=mid:[^\r\n]*/m.exec(offer)?.[0] ?? 'a=mid:0'
  const lines = [`a=ice-ufrag:${ice?.ufrag ?? ''}`, `a=ice-pwd:${ice?.pwd ?? ''}`, media, mid, ...(ice?.candidates ?? []), 'a=end-of-candidates']
  return lines.join('\r\n') + '\r\n'
}

/**
 * The answer as it was, with the server's new credentials and candidates.
 * Everything is bundled, so the first media section carries the candidates.
 */
export function withIce(answer: string, ice: Ice): string {
  const lines: string[] = []
  let placed = false
  for (const line of answer.split(/\r\n|\n/)) {
    if (line === '' || line.startsWith('a=candidate:') || line === 'a=end-of-candidates') continue
    if (line.startsWith('a=ice-ufrag:')) lines.push(`a=ice-ufrag:${ice.ufrag}`)
    else if (line.startsWith('a=ice-pwd:')) lines.push(`a=ice-pwd:${ice.pwd}`)
    else lines.push(line)
    if (!placed && line.startsWith('a=mid:')) {
      placed = true
      lines.push(...ice.candidates)
    }
  }
  return lines.join('\r\n') + '\r\n'
}

/** Where a sender's bandwidth estimate begins, and below what it does not fall, in kbit/s. */
export interface Estimate {
  start: number
  min: number
}

/**
 * The answer with bounds for the estimate of browsers that know them (those made
 * of Chromium). Without the lower one a sender on a bad network may pause the video
 * altogether, and the sound alone hardly shows when there is room for it again.
 */
export function withEstimate(answer: string, { start, min }: Estimate): string {
  const bounds = `x-google-start-bitrate=${start};x-google-min-bitrate=${min}`
  return answer
    .split(/^(?=m=)/m)
    .map((section) => (section.startsWith('m=video') ? bounded(section, bounds) : section))
    .join('')
}

/** A section with the parameters at each of its codecs, but at those that repeat another's packets. */
function bounded(section: string, bounds: string): string {
  return section.replace(/^a=rtpmap:(\d+) ([^/\s]+)[^\r\n]*(\r?\n)/gm, (rtpmap: string, type: string, name: string, end: string) => {
    if (/^(rtx|red|ulpfec|flexfec-03)$/i.test(name)) return rtpmap
    return section.includes(`a=fmtp:${type} `) ? rtpmap : `${rtpmap}a=fmtp:${type} ${bounds}${end}`
  }).replace(/^(a=fmtp:\d+ )([^\r\n]*)/gm, (line: string, head: string, parameters: string) =>
    /(^|;)\s*apt=|x-google-/.test(parameters) ? line : `${head}${parameters};${bounds}`,
  )
}
