package whep

import "time"

// limits are the times that decide about viewers.
type limits struct {
	setup    time.Duration // from the answer to the connection
	slowFor  time.Duration // an estimate below the stream's rate, until the rung below
	fastFor  time.Duration // an estimate above that of the rung above, until it
	judge    time.Duration // between looks at the estimate
	probe    time.Duration // between tries of a higher rate
	queue    time.Duration // of media that may wait, before it is dropped to a key frame
	replay   time.Duration // between replays of pictures for one viewer that asks for a key frame
	upstream time.Duration // between requests for a key frame to the publisher
	reports  time.Duration // between sender reports
}

func defaultLimits() limits {
	return limits{
		setup:    15 * time.Second,
		slowFor:  5 * time.Second,
		fastFor:  30 * time.Second,
		judge:    500 * time.Millisecond,
		probe:    8 * time.Second,
		queue:    500 * time.Millisecond,
		replay:   time.Second,
		upstream: time.Second,
		reports:  2 * time.Second,
	}
}
