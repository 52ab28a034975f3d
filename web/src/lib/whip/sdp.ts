// The little of SDP (RFC 8866) that a WHIP client has to know.

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
