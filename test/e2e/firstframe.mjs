// When a page paints the first picture of a stream, and what it waits for until
// then. All times are Unix milliseconds.

/** Makes the page note its first picture. To be called before the page is opened. */
export function noteFirstFrame(page) {
  return page.addInitScript(() => {
    const notes = (window.firstFrame = {})
    const now = () => performance.timeOrigin + performance.now()
    for (const event of ['loadstart', 'loadedmetadata', 'loadeddata']) {
      addEventListener(
        event,
        ({ target }) => {
          if (!(target instanceof HTMLVideoElement)) return
          notes[event] ??= now()
          if (event === 'loadstart') target.requestVideoFrameCallback((_now, { presentationTime }) => (notes.painted ??= performance.timeOrigin + presentationTime))
        },
        true, // media events do not bubble
      )
    }
  })
}

/** Waits for the first picture, and says when each step towards it was done, in their order. */
export async function waterfall({ page }) {
  await page.waitForFunction(() => window.firstFrame?.painted > 0)
  return page.evaluate(() => {
    const { timeOrigin } = performance
    const requests = performance.getEntriesByType('resource')
    const first = (pattern) => requests.find(({ name, responseEnd }) => pattern.test(name) && responseEnd > 0)
    const ended = (pattern) => {
      const found = first(pattern)
      return found && timeOrigin + found.responseEnd
    }
    const asked = first(/\/master\.m3u8/)
    return {
      opened: timeOrigin,
      'master asked for': asked && timeOrigin + asked.startTime,
      'hls.js': ended(/\/hls-[^/]*\.js/),
      master: ended(/\/master\.m3u8/),
      playlist: ended(/\/media\.m3u8/),
      'first media': ended(/\/live\/.*\d+-\d+(\.\d+)?\.mp4/),
      'first append': window.firstFrame.loadedmetadata,
      decoded: window.firstFrame.loadeddata,
      painted: window.firstFrame.painted,
    }
  })
}

/** The steps of a waterfall, in seconds after a moment. */
export function after(moment, steps) {
  return Object.entries(steps)
    .filter(([, at]) => at >= moment)
    .map(([name, at]) => `${name} ${((at - moment) / 1000).toFixed(2)}`)
    .join(', ')
}

export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]
}
