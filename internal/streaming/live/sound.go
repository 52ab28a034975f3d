package live

import "github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"

// soundQueue holds the audio that no part has taken yet. It is contiguous: what
// is missing becomes silence, what comes too late is dropped. Places and lengths
// are in the track's timescale.
type soundQueue struct {
	config cmaf.AudioConfig
	frames []cmaf.Sample
	start  int64 // of the first frame
	end    int64 // of the last frame
	begun  bool  // where it begins is fixed
}

// Limits of the queue, as divisions of a second.
const (
	// Audio that is later than 2/5 s behind the video is taken for missing and
	// silence put in its place, up to 1/5 s behind.
	maxAudioDelay, keptAudioDelay = 2.0 / 5, 1.0 / 5
	// A gap that is shorter is none, nor half a packet: clocks are not exact.
	maxAudioGap = 1.0 / 100
	// Seconds, far above a part: what no part takes, because no picture comes of
	// a sidecar, does not pile up.
	maxSoundQueue = 60
)

// of converts seconds.
func (q *soundQueue) of(seconds float64) int64 { return int64(seconds * float64(q.config.Timescale())) }

// place converts ticks of 90 kHz.
func (q *soundQueue) place(ticks int64) int64 {
	return ticks * int64(q.config.Timescale()) / ticksPerSecond
}

// add puts a packet at its place.
func (q *soundQueue) add(at, samples int64, data []byte) {
	if at < 0 && at+samples/2 < 0 {
		return // before the first key frame
	}
	if !q.begun {
		q.open(at)
	}
	gap := at - q.end
	if gap > q.of(maxSoundQueue) || gap <= -samples/2 || q.end-q.start > q.of(maxSoundQueue) {
		return // of no place in this stream, or silence stands there already
	}
	if gap > min(samples/2, q.of(maxAudioGap)) {
		q.fill(at)
	}
	q.frames = append(q.frames, cmaf.Sample{Duration: uint32(samples), Key: true, Data: data})
	q.end += samples
}

// open has the track begin where its first packet can stand in its own place,
// and whole frames of silence before it.
func (q *soundQueue) open(at int64) {
	q.begun = true
	if at > 0 {
		_, frame := silence(q.config, q.of(1))
		q.start = at % frame
		q.end = q.start
	}
}

// fill puts silence up to a place, as exactly as the codec's frames allow: to
// half a frame.
func (q *soundQueue) fill(to int64) {
	q.begun = true
	for {
		packet, samples := silence(q.config, to-q.end)
		if samples == 0 {
			return
		}
		q.frames = append(q.frames, cmaf.Sample{Duration: uint32(samples), Key: true, Data: packet})
		q.end += samples
	}
}

// reaches says whether there is audio up to a place in ticks.
func (q *soundQueue) reaches(ticks int64) bool { return q.end >= q.place(ticks) }

// patient puts silence where audio is far too late for a part that ends there.
func (q *soundQueue) patient(ticks int64) {
	end := q.place(ticks)
	if q.end < end-q.of(maxAudioDelay) {
		q.fill(end - q.of(keptAudioDelay))
	}
}

// take returns the frames that begin before a place in ticks, nil for none.
func (q *soundQueue) take(ticks int64) *cmaf.Run {
	end := q.place(ticks)
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

// cutOff ends the queue at a place in ticks: what is missing up to it is
// silence, and what lies beyond is dropped.
func (q *soundQueue) cutOff(ticks int64) {
	q.fill(q.place(ticks))
	end := q.place(ticks)
	for n := len(q.frames); n > 0; n = len(q.frames) {
		start := q.end - int64(q.frames[n-1].Duration)
		if start < end {
			return
		}
		q.frames, q.end = q.frames[:n-1], start
	}
}

// aacFrame is the samples of an AAC-LC frame (14496-3).
const aacFrame = 1024

// silence returns a packet of silence for room, and its duration: of AAC one that
// ends nearest to it, of Opus one that is not longer; 0 when it is best without.
func silence(c cmaf.AudioConfig, room int64) (packet []byte, samples int64) {
	switch {
	case c.Codec == cmaf.Opus && room >= shortestSilence:
		return opusSilence(room, c.Channels)
	case c.Codec == cmaf.AAC && room > aacFrame/2:
		return aacSilence(c.Channels), aacFrame
	}
	return nil, 0
}

// aacSilence returns a raw data block (14496-3, 4.4.2.1) without any spectrum.
func aacSilence(channels int) []byte {
	if channels == 2 {
		// CPE 001, tag 0000, common_window 1; ics_info and ms_mask 13 zeros; of each
		// channel the gain, no pulse, TNS or gain control, 11 zeros; END 111.
		return []byte{0x21, 0, 0, 0, 0, 0x1c}
	}
	// SCE 000, tag 0000, gain, ics_info, no pulse, TNS or gain control; END 111.
	return []byte{0, 0, 0, 7}
}

// samplesOf returns the duration of a packet in the track's timescale. Errors
// are of packets that nothing could play.
func samplesOf(c cmaf.AudioConfig, data []byte) (int64, error) {
	if c.Codec == cmaf.Opus {
		return opusSamples(data)
	}
	return aacFrame, nil
}

// begin puts the empty queue at a place in ticks.
func (q *soundQueue) begin(ticks int64) {
	q.start = q.place(ticks)
	q.end, q.begun = q.start, true
}
