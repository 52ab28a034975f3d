// How the live edge reaches this viewer: what they chose, kept for next time.

export type Way = 'hls' | 'webrtc'

const key = 'live-way'

export function storedWay(): Way {
  try {
    return localStorage.getItem(key) === 'webrtc' && canWebRTC() ? 'webrtc' : 'hls'
  } catch {
    return 'hls'
  }
}

export function storeWay(way: Way): void {
  try {
    localStorage.setItem(key, way)
  } catch {
    // Without storage the choice holds for this page.
  }
}

export function canWebRTC(): boolean {
  return 'RTCPeerConnection' in globalThis
}
