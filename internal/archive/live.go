package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// deliveries begins the subjects of what is said of a delivery of a rule, JSON
// that is passed on as it is: rt.delivery.<rule>.
const deliveries = "rt.delivery."

// Bus is what the live view hears by. Both calls deliver what is said from now
// on, on any node, one message at a time and at most once; stop ends that.
type Bus interface {
	SubscribeEvents(fn func(e event.Envelope)) (stop func(), err error)
	SubscribeLive(subject string, fn func(subject string, data []byte)) (stop func(), err error)
}

// LiveConfig is what the live view needs. Zero limits mean the defaults given.
type LiveConfig struct {
	Bus Bus
	// Authenticate says who makes a request. It is asked again while somebody
	// looks, so that a session that ended sees no more.
	Authenticate func(ctx context.Context, r *http.Request) (identity.Principal, bool, error)
	// Fail answers a request with an error.
	Fail   func(w http.ResponseWriter, r *http.Request, err error)
	Logger *slog.Logger

	MaxViewers    int           // that look at a time: 50
	MaxQueue      int           // messages that one may leave unread: 256
	MaxQueueBytes int64         // of them: 4 MiB
	WriteDeadline time.Duration // for one write: 10 s
	Heartbeat     time.Duration // 15 s
	SessionCheck  time.Duration // between two looks at the session: 1 min
}

func (c LiveConfig) withDefaults() (LiveConfig, error) {
	if c.Bus == nil || c.Authenticate == nil || c.Fail == nil || c.Logger == nil {
		return c, errors.New("archive: the live view needs Bus, Authenticate, Fail and Logger")
	}
	setDefault(&c.MaxViewers, 50)
	setDefault(&c.MaxQueue, 256)
	setDefault(&c.MaxQueueBytes, 4<<20)
	setDefault(&c.WriteDeadline, 10*time.Second)
	setDefault(&c.Heartbeat, 15*time.Second)
	setDefault(&c.SessionCheck, time.Minute)
	return c, nil
}

func setDefault[T int | int64 | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Live shows events as they pass, and what becomes of the deliveries that they
// cause, to admins who look. Nothing is heard while nobody does.
type Live struct {
	cfg     LiveConfig
	log     *slog.Logger
	closing context.Context
	close   context.CancelFunc

	// hearing is held while the subscriptions begin and end, which waits for
	// what runs in them: never while viewers is.
	hearing sync.Mutex
	stop    []func()

	mu      sync.Mutex
	closed  bool
	viewers map[*viewer]struct{}
	serving sync.WaitGroup
}

// NewLive returns the live view. Its route (Routes) must be mounted; Close ends it.
func NewLive(cfg LiveConfig) (*Live, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Live{cfg: cfg, log: cfg.Logger, viewers: map[*viewer]struct{}{}}
	l.closing, l.close = context.WithCancel(context.Background())
	return l, nil
}

// Close sends all viewers away and waits until they are gone. It may be called
// again.
func (l *Live) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.close()
	l.serving.Wait()
}

// viewer is one admin's page.
type viewer struct {
	filter filter
	queue  chan []byte // frames that it has not read yet
	cut    func()

	bytes int64 // in the queue; the Live's mu guards it
}

// join adds a viewer, and begins to hear with the first. It says false when there
// are too many.
func (l *Live) join(v *viewer) (bool, error) {
	l.hearing.Lock()
	defer l.hearing.Unlock()
	l.mu.Lock()
	if l.closed || len(l.viewers) >= l.cfg.MaxViewers {
		l.mu.Unlock()
		return false, nil
	}
	l.viewers[v] = struct{}{}
	l.serving.Add(1)
	l.mu.Unlock()
	if len(l.stop) > 0 {
		return true, nil
	}
	err := l.hear()
	if err != nil {
		l.remove(v)
	}
	return err == nil, err
}

func (l *Live) hear() error {
	stop, err := l.cfg.Bus.SubscribeEvents(l.onEvent)
	if err != nil {
		return fmt.Errorf("hearing the events: %w", err)
	}
	l.stop = append(l.stop, stop)
	if stop, err = l.cfg.Bus.SubscribeLive(deliveries+"*", l.onDelivery); err != nil {
		l.hearNoMore()
		return fmt.Errorf("hearing of deliveries: %w", err)
	}
	l.stop = append(l.stop, stop)
	return nil
}

func (l *Live) hearNoMore() {
	for _, stop := range l.stop {
		stop()
	}
	l.stop = nil
}

// leave takes a viewer out, and hears no more after the last.
func (l *Live) leave(v *viewer) {
	l.hearing.Lock()
	defer l.hearing.Unlock()
	if l.remove(v) == 0 {
		l.hearNoMore()
	}
}

func (l *Live) remove(v *viewer) (left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.viewers, v)
	l.serving.Done()
	return len(l.viewers)
}

// onEvent queues an event for those whose filter it passes. It is encoded once,
// and taken apart for patterns once at most.
func (l *Live) onEvent(e event.Envelope) {
	row, err := rowOf(e, store.Now())
	if err != nil {
		l.log.Warn("archive: an event is not shown live", "event", e.ID, "err", err)
		return
	}
	var frame []byte
	var parsed *pattern.Event
	l.each(func(v *viewer) []byte {
		f := v.filter
		if f.source != "" && f.source != row.Source || f.detailType != "" && f.detailType != row.DetailType || f.about != "" && f.about != row.About {
			return nil
		}
		if f.pattern != nil {
			if parsed == nil {
				p, err := pattern.Parse([]byte(row.Body))
				if err != nil {
					return nil
				}
				parsed = &p
			}
			if !f.pattern.Match(*parsed) {
				return nil
			}
		}
		if frame == nil {
			text, err := json.Marshal(viewEvent(sqlc.ArchiveEvent(row)))
			if err != nil {
				return nil
			}
			frame = frameOf("event", text)
		}
		return frame
	})
}

func (l *Live) onDelivery(subject string, data []byte) {
	// One line of JSON, or it would be several fields of the stream.
	if !json.Valid(data) {
		l.log.Warn("archive: a delivery is not understood", "subject", subject)
		return
	}
	frame := frameOf("delivery", data)
	l.each(func(*viewer) []byte { return frame })
}

// each queues what choose returns, if anything, for each viewer. One that does not
// keep up is cut: its page comes back and reads from the archive what it missed.
func (l *Live) each(choose func(v *viewer) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for v := range l.viewers {
		frame := choose(v)
		if frame == nil {
			continue
		}
		if v.bytes += int64(len(frame)); v.bytes > l.cfg.MaxQueueBytes {
			v.cut()
			continue
		}
		select {
		case v.queue <- frame:
		default:
			v.cut()
		}
	}
}

// read says that a viewer has taken a frame out of its queue.
func (l *Live) read(v *viewer, frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v.bytes -= int64(len(frame))
}

func frameOf(name string, data []byte) []byte {
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, oneLine(data))
}
