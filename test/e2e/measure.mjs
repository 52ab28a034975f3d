// What a page plays and what it sends, measured inside of it.

/** Reads how far the page's player is: picture, sound, and the seconds really played (jumps do not count). */
function progress(page) {
  return page.evaluate(async () => {
    const video = document.querySelector('media-controller video')
    if (!video) return null
    let seconds = 0
    for (let i = 0; i < video.played.length; i++) seconds += video.played.end(i) - video.played.start(i)
    return {
      seconds,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      sound: video.srcObject ? await heard(window.peers.at(-1)) : (video.webkitAudioDecodedByteCount ?? 0),
      muted: video.muted,
    }

    /** Of what comes by WebRTC the player counts no sound; the connection counts its samples. Silence is none. */
    async function heard(peer) {
      let samples = 0
      for (const entry of (await peer.getStats()).values()) {
        if (entry.type === 'inbound-rtp' && entry.kind === 'audio' && entry.totalAudioEnergy > 0) samples += entry.totalSamplesReceived - entry.concealedSamples
      }
      return samples
    }
  })
}

/** Pictures and bytes of sound that say that both advance; a busy machine drops most pictures. */
const fewest = { frames: 20, sound: 1000 }

/** Waits until the page has played for so many seconds from now, with picture and sound, and says what advanced. */
export async function playFor(page, seconds) {
  let before = null
  while (!before) before = await progress(page)
  return playSince(page, before, seconds)
}

/**
 * Waits until the page has played so many seconds of what it plays now, with picture and sound, and says what advanced.
 * A short recording may have come to its end before a busy machine looks at it.
 */
export function playInAll(page, seconds) {
  return playSince(page, { seconds: 0, frames: 0, sound: 0 }, seconds)
}

async function playSince(page, before, seconds) {
  const until = Date.now() + 90_000
  for (;;) {
    const now = await progress(page)
    // A player that begins anew counts from nothing.
    if (now && (now.seconds < before.seconds || now.sound < before.sound)) before = { ...now, seconds: 0, frames: 0, sound: 0 }
    const done = now && { seconds: now.seconds - before.seconds, frames: now.frames - before.frames, sound: now.sound - before.sound, muted: now.muted }
    if (done && done.seconds >= seconds && done.frames >= fewest.frames && done.sound >= fewest.sound) return done
    if (Date.now() > until) throw new Error(`${seconds} s with picture and sound were not played within 90 s: ${JSON.stringify(done)}`)
    await new Promise((again) => setTimeout(again, 250))
  }
}

/** Makes the page keep its WebRTC connections. To be called before the page is opened. */
export function keepPeers(page) {
  return page.addInitScript(() => {
    const Native = RTCPeerConnection
    window.peers = []
    window.RTCPeerConnection = class extends Native {
      constructor(...args) {
        super(...args)
        window.peers.push(this)
      }
    }
  })
}

/**
 * Makes the page note the RTP timestamps (90 kHz) of the pictures that it sends,
 * by an encoded transform: wall clocks would measure how busy the machine is.
 * The notes outlive a reload. To be called before the page is opened.
 */
export function noteSent(page) {
  return page.addInitScript(() => {
    const work = `onrtctransform = ({ transformer }) => {
      const note = { first: -1, last: -1 }
      const look = (frame, controller) => {
        const at = frame.getMetadata().rtpTimestamp
        if (note.first < 0 && frame.type === 'key') note.first = at
        if (note.first >= 0) note.last = at
        postMessage({ id: transformer.options.id, ...note })
        controller.enqueue(frame)
      }
      transformer.readable.pipeThrough(new TransformStream({ transform: look })).pipeTo(transformer.writable)
    }`
    const Native = RTCPeerConnection
    window.RTCPeerConnection = class extends Native {
      addTransceiver(track, init) {
        const made = super.addTransceiver(track, init)
        if (track.kind !== 'video') return made
        const worker = new Worker(URL.createObjectURL(new Blob([work], { type: 'text/javascript' })))
        const id = `sent-${Date.now()}-${Math.random()}`
        worker.onmessage = ({ data }) => sessionStorage.setItem(id, JSON.stringify(data))
        made.sender.transform = new RTCRtpScriptTransform(worker, { id })
        return made
      }
    }
  })
}

/** Seconds of video, from the first key frame to the last picture, that each connection of the page has sent, oldest first. */
export function sentSeconds(page) {
  return page.evaluate(() =>
    Object.keys(sessionStorage)
      .filter((key) => key.startsWith('sent-'))
      .sort()
      .map((key) => JSON.parse(sessionStorage.getItem(key)))
      .map(({ first, last }) => ((last - first) >>> 0) / 90_000)
      .filter((seconds) => seconds > 0),
  )
}
