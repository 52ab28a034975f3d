// The other end of WHIP and WHEP for pages of the fake world: a second page of
// the same browser that answers their offers, over real WebRTC.

/** Answers offers of the page at /whip and /whep; its gone() breaks every connection off, as a lost network does. */
export async function answerOffers(context, page) {
  const other = await context.newPage()
  await other.goto('about:blank')
  await other.evaluate(setUp)
  await page.bringToFront()
  let ignored = false
  for (const kind of ['whip', 'whep']) {
    await page.route(new RegExp(`/${kind}/`), async (route) => {
      const request = route.request()
      if (request.method() === 'DELETE') return route.fulfill({ status: 200 })
      if (request.method() !== 'POST') return route.fulfill({ status: 404 })
      if (ignored) return route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"The server starts again."}' })
      const sdp = await other.evaluate(([offer, sends]) => window.answer(offer, sends), [request.postData(), kind === 'whep'])
      await route.fulfill({ status: 201, headers: { 'Content-Type': 'application/sdp', Location: new URL(request.url()).pathname + '/s1' }, body: sdp })
    })
  }
  return {
    async gone() {
      ignored = true
      await other.evaluate(() => window.peers.splice(0).forEach((peer) => peer.close()))
    },
    back: () => (ignored = false),
    close: () => other.close(),
  }
}

function setUp() {
  window.peers = []
  const canvas = document.createElement('canvas')
  canvas.width = 640
  canvas.height = 360
  const paint = canvas.getContext('2d')
  setInterval(() => {
    paint.fillStyle = '#26304f'
    paint.fillRect(0, 0, 640, 360)
    paint.fillStyle = '#fff'
    paint.font = '48px sans-serif'
    paint.fillText(new Date().toISOString().slice(11, 23), 180, 195)
  }, 50)
  const sound = new AudioContext().createMediaStreamDestination()
  window.answer = async (offer, sends) => {
    const peer = new RTCPeerConnection()
    window.peers.push(peer)
    if (sends) {
      peer.addTrack(canvas.captureStream(20).getVideoTracks()[0])
      peer.addTrack(sound.stream.getAudioTracks()[0])
    }
    await peer.setRemoteDescription({ type: 'offer', sdp: offer })
    await peer.setLocalDescription(await peer.createAnswer())
    if (peer.iceGatheringState !== 'complete') await new Promise((done) => peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && done()))
    return peer.localDescription.sdp
  }
}
