package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

// lifecycles runs whole lifecycles and says when they are over.
type lifecycles struct {
	n    *node
	mu   sync.Mutex
	over map[string]chan time.Time
}

func newLifecycles(n *node) *lifecycles {
	l := &lifecycles{n: n, over: map[string]chan time.Time{}}
	n.hear(event.Consumer{
		Name:    "bench",
		Filters: []event.Filter{{Source: event.SourcePluginManager, Type: event.LifeCycleComplete{}.EventType()}},
		Handle: func(_ context.Context, e event.Envelope) error {
			at := time.Now()
			var d event.LifeCycleComplete
			if err := e.Decode(&d); err != nil {
				return err
			}
			if d.Plugins.Status != "" {
				n.b.Errorf("the lifecycle of %s ended %s: %s", d.ID, d.Plugins.Status, d.Plugins.Reason)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if c := l.over[d.ID]; c != nil {
				delete(l.over, d.ID)
				c <- at
			}
			return nil
		},
	})
	return l
}

// run takes a recording through its hooks: from the commit of recording-ready
// to LifeCycleComplete in the hands of a consumer.
func (l *lifecycles) run() time.Duration {
	video := "st-" + id.New()
	over := make(chan time.Time, 1)
	l.mu.Lock()
	l.over[video] = over
	l.mu.Unlock()
	l.n.say(ready(video))
	began := time.Now()
	return (<-over).Sub(began)
}

func ready(video string) event.Envelope {
	return event.New(event.RecordingReadyEvent{
		RecordingStatus: event.RecordingReady, RecordingS3KeyPrefix: "recordings/alice/" + video,
		StreamURL: urls{}.VOD(video), PlaybackURL: urls{}.MP4(video), Thumbnail: urls{}.Thumbnail(video),
		ChannelName: "alice", ID: video, CreatedAt: "2026-11-22T10:00:00.000Z", DurationMillis: 60_000,
		Author: "brave-otter", Height: 720, Width: 1280,
	})
}

// One lifecycle after the other, each with twelve plugins that answer at once.
func BenchmarkLifecycle(b *testing.B) {
	on(b, instant(3), func(b *testing.B, n *node) {
		l := newLifecycles(n)
		l.run() // everything is warm
		var took []time.Duration
		began := used()
		for b.Loop() {
			took = append(took, l.run())
		}
		b.ReportMetric(float64((used()-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		report(b, took)
	})
}

// atOnce is how many lifecycles run at a time in BenchmarkLifecycles.
const atOnce = 50

// Fifty lifecycles at a time.
func BenchmarkLifecycles(b *testing.B) {
	on(b, instant(3), func(b *testing.B, n *node) {
		l := newLifecycles(n)
		l.run()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var took []time.Duration
		left := make(chan struct{}, b.N)
		for range b.N {
			left <- struct{}{}
		}
		close(left)
		b.ResetTimer()
		began := used()
		for range atOnce {
			wg.Go(func() {
				for range left {
					d := l.run()
					mu.Lock()
					took = append(took, d)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		b.ReportMetric(float64((used()-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		report(b, took)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lifecycles/s")
	})
}
