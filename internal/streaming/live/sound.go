package live

import "github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"

// Places of audio, in samples of 48 kHz.
const (
	// Audio that is later than this behind the video is taken for missing and
	// silence put in its place.
	maxAudioDelay  = cmaf.OpusTimescale * 2 / 5
	keptAudioDelay = cmaf.OpusTimescale / 5
	maxSoundQueue  = 60 * cmaf.OpusTimescale // far above a part
)

// soundQueue holds the audio that no part has taken yet. It is contiguous: what
// is missing becomes silence, what comes too late is dropped.
type soundQueue struct {
	frames []cmaf.Sample
	start  int64 // of the first frame
	end    int64 // of the last frame
}

// add puts a packet at its place.
func (q *soundQueue) add(at, samples int64, data []byte, channels int) {
	if at < 0 && at+samples/2 < 0 {
		return // before the first key frame
	}
	gap := at - q.end
	if gap > maxSoundQueue || gap <= -samples/2 {
		return // of no place in this stream, or silence stands there already
	}
	if gap > samples/2 {
		q.fill(at, channels)
	}
	q.frames = append(q.frames, cmaf.Sample{Duration: uint32(samples), Key: true, Data: data})
	q.end += samples
}

// fill puts silence up to a place, to the shortest Opus frame exactly.
func (q *soundQueue) fill(to int64, channels int) {
	for to-q.end >= shortestSilence {
		packet, samples := silence(to-q.end, channels)
		q.frames = append(q.frames, cmaf.Sample{Duration: uint32(samples), Key: true, Data: packet})
		q.end += samples
	}
}

// reaches says whether there is audio up to a place in ticks.
func (q *soundQueue) reaches(ticks int64) bool { return q.end >= audioPlace(ticks) }

// take returns the frames that begin before a place in ticks, nil for none.
func (q *soundQueue) take(ticks int64, channels int) *cmaf.Run {
	end := audioPlace(ticks)
	if q.end < end-maxAudioDelay {
		q.fill(end-keptAudioDelay, channels)
	}
	n, at := 0, q.start
	for n < len(q.frames) && at < end {
		at += int64(q.frames[n].Duration)
		n++
	}
	if n == 0 {
		return nil
	}
	run := &cmaf.Run{BaseTime: uint64(q.start), Samples: q.frames[:n:n]}
	q.frames, q.start = q.frames[n:], at
	return run
}

func audioPlace(ticks int64) int64 {
	return ticks * cmaf.OpusTimescale / ticksPerSecond
}
