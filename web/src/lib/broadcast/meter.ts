// The level of a microphone.

/** Watches a stream's loudness and calls show with 0 (silence) to 1 (full), about 30 times a second, until stopped. */
export function meter(stream: MediaStream, show: (level: number) => void): () => void {
  const track = stream.getAudioTracks()[0]
  if (!track) return () => {}
  const context = new AudioContext()
  const source = context.createMediaStreamSource(new MediaStream([track]))
  const analyser = context.createAnalyser()
  analyser.fftSize = 1024
  source.connect(analyser)
  const samples = new Float32Array(analyser.fftSize)
  let shown = 0
  const timer = setInterval(() => {
    if (context.state === 'suspended') void context.resume().catch(() => {})
    analyser.getFloatTimeDomainData(samples)
    const next = level(samples)
    // Rises at once and falls slowly, as meters do.
    shown = Math.max(next, shown * 0.86)
    show(shown)
  }, 33)
  return () => {
    clearInterval(timer)
    source.disconnect()
    void context.close().catch(() => {})
  }
}

/** Loudness of samples (-1 to 1) on a scale of 0 (-60 dBFS and below) to 1 (0 dBFS). */
export function level(samples: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < samples.length; i++) {
    const value = samples[i] ?? 0
    sum += value * value
  }
  const rms = Math.sqrt(sum / Math.max(1, samples.length))
  if (rms <= 0) return 0
  return Math.min(1, Math.max(0, (20 * Math.log10(rms) + 60) / 60))
}
