// Cameras and microphones, and what can be wrong with them in words.

export interface Devices {
  cameras: MediaDeviceInfo[]
  microphones: MediaDeviceInfo[]
}

export interface Wanted {
  camera?: string
  microphone?: string
  /** Which side of a phone, when no camera is named. */
  facing?: 'user' | 'environment'
}

/** Whether this page may ask for a camera at all, and if not, why. */
export function obstacle(): string {
  if (!globalThis.isSecureContext) {
    return 'Browsers give the camera to secure pages only. Open this page with https:// (or on this computer as localhost).'
  }
  if (!navigator.mediaDevices?.getUserMedia) return 'This browser cannot use a camera. Try a current Chrome, Safari or Firefox.'
  if (!('RTCPeerConnection' in globalThis)) return 'This browser cannot send video (it has no WebRTC). Try a current Chrome, Safari or Firefox.'
  return ''
}

export async function openMedia(wanted: Wanted): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({
    video: {
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30, max: 30 },
      ...(wanted.camera ? { deviceId: { exact: wanted.camera } } : { facingMode: wanted.facing ?? 'user' }),
    },
    audio: {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      ...(wanted.microphone ? { deviceId: { exact: wanted.microphone } } : {}),
    },
  })
}

export async function listDevices(): Promise<Devices> {
  const all = await navigator.mediaDevices.enumerateDevices()
  return {
    cameras: all.filter((d) => d.kind === 'videoinput' && d.deviceId),
    microphones: all.filter((d) => d.kind === 'audioinput' && d.deviceId),
  }
}

/** Whether the person already allowed camera and microphone, so that nothing needs to be explained. */
export async function alreadyAllowed(): Promise<boolean> {
  try {
    const names = ['camera', 'microphone'] as PermissionName[]
    const states = await Promise.all(names.map((name) => navigator.permissions.query({ name })))
    return states.every((status) => status.state === 'granted')
  } catch {
    return false
  }
}

/** What went wrong with getUserMedia, and what to do about it. */
export function mediaProblem(error: unknown): string {
  const name = error instanceof DOMException ? error.name : ''
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The browser was told not to give the camera or microphone to this page. Tap the symbol left of the address, allow both, and try again.'
    case 'NotFoundError':
      return 'No camera or no microphone was found. Connect one and try again.'
    case 'NotReadableError':
    case 'AbortError':
      return 'The camera or microphone is in use by another program. Close it and try again.'
    case 'OverconstrainedError':
      return 'The chosen camera or microphone is not there any more. Choose another one.'
  }
  return error instanceof Error && error.message ? error.message : 'The camera could not be opened.'
}
