// What a page plays and what it sends, measured inside of it.

/** Reads how far the page's player is: picture, sound, and the seconds really played (jumps do not count). */
function progress(page) {
  return page.evaluate(() => {
    const video = document.querySelector('media-controller video')
    if (!video) return null
    let seconds = 0
    for (let i = 0; i < video.played.length; i++) seconds += video.played.end(i) - video.played.start(i)
    return {
      seconds,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      sound: video.webkitAudioDecodedByteCount ?? 0,
      muted: video.muted,
    }
  })
}

/** Waits until the page has played for so many seconds from now, and says what advanced. */
export async function playFor(page, seconds) {
  let before = null
  while (!before) before = await progress(page)
  const until = Date.now() + 90_000
  for (;;) {
    const now = await progress(page)
    const done = now && { seconds: now.seconds - before.seconds, frames: now.frames - before.frames, sound: now.sound - before.sound, muted: now.muted }
    if (done && done.seconds >= seconds) return done
    if (Date.now() > until) throw new Error(`${seconds} s were not played within 90 s: ${JSON.stringify(done)}`)
    await new Promise((again) => setTimeout(again, 250))
  }
}

/**
 * Makes the page note when its peer connections encoded their first and their
 * last picture; to be called before the page is opened.
 */
export function noteSent(page) {
  return page.addInitScript(() => {
    const Native = RTCPeerConnection
    window.sent = []
    window.RTCPeerConnection = class extends Native {
      constructor(...config) {
        super(...config)
        const note = { first: 0, last: 0, frames: 0 }
        window.sent.push(note)
        const timer = setInterval(async () => {
          if (this.connectionState === 'closed') return clearInterval(timer)
          const report = await this.getStats().catch(() => new Map())
          for (const entry of report.values()) {
            if (entry.type !== 'outbound-rtp' || entry.kind !== 'video' || !(entry.framesSent > note.frames)) continue
            note.first ||= entry.timestamp
            note.last = entry.timestamp
            note.frames = entry.framesSent
          }
        }, 40)
      }
    }
  })
}

/** Seconds between the first and the last picture of the newest broadcast of the page. */
export function sentSeconds(page) {
  return page.evaluate(() => {
    const note = window.sent.at(-1)
    return (note.last - note.first) / 1000
  })
}
