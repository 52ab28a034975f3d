package postprocess

import (
	"encoding/json"
	"log/slog"
	"sync"
	"time"
)

// The steps that take time, and the part of the whole that each ends at, in
// percent.
const (
	stepMP4        = "mp4"
	stepEncode     = "encode" // of few videos: the others go on from 50 %
	stepStoryboard = "storyboard"
	stepThumbnail  = "thumbnail"

	endOfMP4        = 50
	endOfEncode     = 80
	endOfStoryboard = 85
	endOfThumbnail  = 99
)

// span is the part of the whole that a step is, in percent.
func span(step string) (from, to float64) {
	switch step {
	case stepMP4:
		return 0, endOfMP4
	case stepEncode:
		return endOfMP4, endOfEncode
	case stepStoryboard:
		return endOfMP4, endOfStoryboard
	default:
		return endOfStoryboard, endOfThumbnail
	}
}

// sayEvery is how often at most a job's progress is pushed.
const sayEvery = 250 * time.Millisecond

// progress is how far a job is on this node.
type progress struct {
	step    string
	percent int // 0 to 99; never less than before
	said    time.Time
}

// tracker knows how far the jobs are that this node works on, and tells it to
// the pages of their owners. It is told within steps; nothing durable hangs on it.
type tracker struct {
	realtime Realtime
	log      *slog.Logger
	now      func() time.Time

	mu   sync.Mutex
	jobs map[string]progress
}

func newTracker(realtime Realtime, log *slog.Logger) *tracker {
	return &tracker{realtime: realtime, log: log, now: time.Now, jobs: map[string]progress{}}
}

// of returns how far a job is; false when this node does not work on it.
func (t *tracker) of(jobID string) (progress, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.jobs[jobID]
	return p, ok
}

func (t *tracker) forget(jobID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.jobs, jobID)
}

// at notes that so much of a step is done, 0 to 1. A step that begins again does
// not take back what was said.
func (t *tracker) at(j Job, step string, share float64) {
	from, to := span(step)
	percent := int(from + (to-from)*min(max(share, 0), 1))
	if p, news := t.note(j.ID, step, percent); news {
		t.say(j, p)
	}
}

func (t *tracker) note(jobID, step string, percent int) (p progress, news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.jobs[jobID]
	now := t.now()
	p = progress{step, max(before.percent, percent), before.said}
	news = p.step != before.step || p.percent != before.percent && now.Sub(before.said) >= sayEvery
	if news {
		p.said = now
	}
	t.jobs[jobID] = p
	return p, news
}

// progressMessage is what goes to the owner's pages.
type progressMessage struct {
	Type   string         `json:"type"`
	Detail progressDetail `json:"detail"`
}

type progressDetail struct {
	ID          string `json:"id"`
	ChannelName string `json:"channel_name"`
	Step        string `json:"step"`
	Percent     int    `json:"percent"`
}

// say pushes progress. Who missed it asks the API.
func (t *tracker) say(j Job, p progress) {
	message, err := json.Marshal(progressMessage{"MP4ProcessingProgress", progressDetail{j.ID, j.Channel, p.step, p.percent}})
	if err == nil {
		err = t.realtime.PublishLive("rt.processing."+j.Channel, message)
	}
	if err != nil {
		t.log.Debug("post-processing: progress is not pushed", "video", j.ID, "err", err)
	}
}
