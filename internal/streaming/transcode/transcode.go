// Package transcode has supervised ffmpeg processes do what needs a codec: the
// lower rungs of a live stream, H264 of what is not, AAC of Opus and Opus of AAC.
//
// A sidecar is one process that takes the frames of one track and gives frames
// back on the same timeline. It never holds up its source: its queue is bounded,
// and what ffmpeg does not take in time is dropped and reported. Video and audio
// have a process each, because one for both would hold back each frame until
// its neighbour of the other track is there.
//
// In go IVF (video) and NUT (audio), out comes NUT: these carry exact
// timestamps, and a reader needs no byte of the next frame to finish one.
package transcode

import "time"

// Limits are when a sidecar is given up. Zero fields have the defaults.
type Limits struct {
	// Stall is how long a process may take input and give nothing; 3 s.
	Stall time.Duration
	// Start is the same for the first output of a process, which has libraries to
	// load on a machine that may be busy; 10 s.
	Start time.Duration
	// Backoff is the wait before the first restart, doubled with each one in a row
	// without output up to MaxBackoff; 250 ms and 10 s.
	Backoff, MaxBackoff time.Duration
	// Failures is how many processes in a row may end without any output; 5.
	Failures int
	// QueueFrames and QueueBytes bound what waits for ffmpeg; 150 and 16 MB.
	QueueFrames, QueueBytes int
}

func (l Limits) withDefaults() Limits {
	orDuration := func(d *time.Duration, or time.Duration) {
		if *d <= 0 {
			*d = or
		}
	}
	orInt := func(n *int, or int) {
		if *n <= 0 {
			*n = or
		}
	}
	orDuration(&l.Stall, 3*time.Second)
	orDuration(&l.Start, 10*time.Second)
	orDuration(&l.Backoff, 250*time.Millisecond)
	orDuration(&l.MaxBackoff, 10*time.Second)
	orInt(&l.Failures, 5)
	orInt(&l.QueueFrames, 150)
	orInt(&l.QueueBytes, 16<<20)
	return l
}

// Stats is what a sidecar has done so far.
type Stats struct {
	In, Out  int64 // frames
	Dropped  int64 // frames that came while the queue was full
	Lost     int64 // frames that went into a process that died, or came while there was none
	Restarts int64 // processes after the first
	// Failed is why it was given up, for people; "" while it works or tries to.
	Failed string
}
