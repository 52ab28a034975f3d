// A picture that carries a clock: a row of 32 black and white fields is the
// time of its drawing in milliseconds, the row below its complement.

/** Makes the page's camera a canvas with the clock, and its microphone a tone. To be called before the page is opened. */
export function carryClock(page) {
  return page.addInitScript(() => {
    const [width, height, fields] = [1280, 720, 32]
    navigator.mediaDevices.getUserMedia = async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width, height })
      const ink = canvas.getContext('2d', { willReadFrequently: true })
      const [camera] = canvas.captureStream(0).getVideoTracks()
      const field = width / fields
      let turn = 0
      setInterval(() => {
        ink.fillStyle = `hsl(${turn++ % 360} 40% 50%)`
        ink.fillRect(0, 0, width, height)
        ink.fillStyle = '#fff'
        ink.fillRect((turn * 7) % width, 300, 90, 300)
        const now = Date.now() >>> 0
        for (let bit = 0; bit < fields; bit++) {
          const on = (now >>> bit) & 1
          for (const [row, white] of [[0, on], [1, !on]]) {
            ink.fillStyle = white ? '#fff' : '#000'
            ink.fillRect(bit * field, row * 80, field, 80)
          }
        }
        camera.requestFrame()
      }, 1000 / 30)

      const audio = new AudioContext()
      const tone = new OscillatorNode(audio, { frequency: 330 })
      const ear = audio.createMediaStreamDestination()
      tone.connect(ear)
      tone.start()
      return new MediaStream([camera, ...ear.stream.getAudioTracks()])
    }
  })
}

/** The ages of the pictures that the page's player shows within so many seconds, in milliseconds and ascending order. */
export function readClock(page, seconds) {
  return page.evaluate(async (ms) => {
    const [width, height, fields] = [320, 180, 32]
    const video = document.querySelector('media-controller video')
    const canvas = new OffscreenCanvas(width, height)
    const look = canvas.getContext('2d', { willReadFrequently: true })
    const field = width / fields

    /** Null when a field cannot be told. */
    function time(pixels) {
      const bright = (bit, row) => pixels[(row * width + Math.floor((bit + 0.5) * field)) * 4] > 127
      let now = 0
      for (let bit = 0; bit < fields; bit++) {
        if (bright(bit, 10) === bright(bit, 30)) return null
        if (bright(bit, 10)) now |= 1 << bit
      }
      return now >>> 0
    }

    const ages = []
    await new Promise((done) => {
      const until = performance.now() + ms
      const seen = () => {
        const now = Date.now() >>> 0
        look.drawImage(video, 0, 0, width, height)
        const drawn = time(look.getImageData(0, 0, width, height).data)
        if (drawn !== null) ages.push(now - drawn)
        if (performance.now() > until) done()
        else video.requestVideoFrameCallback(seen)
      }
      video.requestVideoFrameCallback(seen)
    })
    return ages.sort((a, b) => a - b)
  }, seconds * 1000)
}
