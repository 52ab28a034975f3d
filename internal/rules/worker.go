package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The states of a delivery.
const (
	pending   = "pending"
	delivered = "delivered"
	dead      = "dead"
)

const (
	keptAttempts = 5                // of a delivery, the last ones
	settleTime   = 10 * time.Second // for noting what became of a try
	stopTime     = 3 * time.Second  // for the tries that run when the node stops
)

// attempt is one try of a delivery, as it is kept.
type attempt struct {
	At         int64  `json:"at"` // ms
	Status     int    `json:"status,omitempty"`
	DurationMS int64  `json:"ms"`
	Error      string `json:"error,omitempty"`
}

// worker tries deliveries, several at a time: so many in all, and few of each
// rule, so that a target that is slow or dead holds up its own rule alone.
type worker struct {
	s      *Service
	asking context.Context // ends when the node stops: what a plugin was asked it answers later
	trying context.Context // ends when a stop will wait no longer
	giveUp context.CancelFunc
	tries  sync.WaitGroup
	rounds int
	clock  time.Time     // when the last round began
	back   time.Duration // by how much the clock was set back since deliveries were told

	mu      sync.Mutex
	total   int
	asked   int                 // of total: those that wait for a plugin
	running map[string]int      // by rule
	failing map[string]struct{} // rules whose last try failed
}

func newWorker(ctx context.Context, s *Service) *worker {
	w := &worker{s: s, asking: ctx, running: map[string]int{}, failing: map[string]struct{}{}}
	w.trying, w.giveUp = context.WithCancel(context.Background())
	return w
}

// stop waits a little for the tries that run, then cancels them: they are made
// again.
func (w *worker) stop() {
	timer := time.AfterFunc(stopTime, w.giveUp)
	w.tries.Wait()
	timer.Stop()
	w.giveUp()
}

// round starts tries of what is due, as far as there is room.
func (w *worker) round(ctx context.Context) error {
	if err := w.followClock(ctx); err != nil {
		return err
	}
	rules, err := sqlc.New(w.s.db.Read()).DueRules(ctx, store.Now())
	if err != nil {
		return fmt.Errorf("reading the rules with due deliveries: %w", err)
	}
	w.rounds++
	for i := range rules {
		// Where there is no room for all, each round begins with another rule.
		r := rules[(i+w.rounds)%len(rules)]
		room := w.room(r)
		if room == 0 {
			continue
		}
		claimed, err := w.s.claim(ctx, r, room)
		if err != nil {
			return err
		}
		w.count(r, len(claimed))
		w.s.tell(r.Name, claimed...)
		for _, d := range claimed {
			w.tries.Go(func() { w.try(r, d) })
		}
	}
	return nil
}

// clockStep is how far the clock must be set back at once for deliveries to be told.
const clockStep = 2 * time.Second

// followClock keeps deliveries from waiting for a time that the clock has shown
// already when it was ahead, an hour say. In the first round it may have been set
// while the node was down.
func (w *worker) followClock(ctx context.Context) error {
	now := time.Now()
	if !w.clock.IsZero() {
		// Sub asks the clock that only goes forward, unless Round has taken it away.
		if back := now.Sub(w.clock) - now.Round(0).Sub(w.clock.Round(0)); back >= clockStep {
			w.back += back
		}
	}
	w.clock = now
	if w.rounds > 0 && w.back == 0 {
		return nil
	}
	err := w.s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).ClockSetBack(ctx, sqlc.ClockSetBackParams{Now: store.Now(), Back: w.back.Milliseconds()})
	})
	if err != nil {
		return fmt.Errorf("telling deliveries that the clock was set back: %w", err)
	}
	w.back = 0
	return nil
}

// room is how many more tries of a rule may begin. Plugins may take a minute for
// each, so half of the places are never theirs.
func (w *worker) room(r sqlc.Rule) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := w.s.cfg.PerRule
	if _, failing := w.failing[r.ID]; failing {
		most = 1
	}
	free := w.s.cfg.Concurrency - w.total
	if r.Target == targetPlugin {
		free = min(free, (w.s.cfg.Concurrency+1)/2-w.asked)
	}
	return max(0, min(most-w.running[r.ID], free))
}

// count notes that n tries of a rule have begun, or ended when it is negative.
func (w *worker) count(r sqlc.Rule, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total += n
	if r.Target == targetPlugin {
		w.asked += n
	}
	if w.running[r.ID] += n; w.running[r.ID] == 0 {
		delete(w.running, r.ID)
	}
}

func (w *worker) end(r sqlc.Rule, failed bool) {
	w.count(r, -1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if failed {
		w.failing[r.ID] = struct{}{}
	} else {
		delete(w.failing, r.ID)
	}
}

func (w *worker) try(r sqlc.Rule, d sqlc.RuleDelivery) {
	began := time.Now()
	trying := w.trying
	if r.Target == targetPlugin {
		trying = w.asking
	}
	failpoint.Pass("delivery.send")
	o := w.s.send(trying, r, d)
	failpoint.Pass("delivery.sent")
	defer func() {
		w.end(r, o.err != "" && !o.final)
		w.s.look() // there is room now
	}()
	if o.err != "" && trying.Err() != nil {
		return // the node stops and has cancelled it
	}
	w.s.metrics.tried(r.Target, o, time.Since(began))
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	if err := w.s.settle(ctx, r, d, o, began); err != nil {
		// It is made again when its lease ends: at least once.
		w.s.log.Error("rules: a try could not be noted", "rule", r.Name, "delivery", d.ID, "err", err)
	}
	failpoint.Pass("delivery.recorded")
}

// claim takes up to n due deliveries of a rule, which no other node tries until
// the lease ends. It counts the try: one that kills the node counts, too.
func (s *Service) claim(ctx context.Context, r sqlc.Rule, n int) ([]sqlc.RuleDelivery, error) {
	var claimed []sqlc.RuleDelivery
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := store.Now()
		var err error
		claimed, err = sqlc.New(tx).Claim(ctx, sqlc.ClaimParams{
			Lease: id.New(), Holder: s.cfg.Node, Until: now + (s.cfg.Lease + s.limit(r.Target) - s.cfg.Timeout).Milliseconds(),
			Now: now, RuleID: r.ID, RowCount: int32(n),
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claiming deliveries of rule %s: %w", r.ID, err)
	}
	return claimed, nil
}

// settle notes what became of a try.
func (s *Service) settle(ctx context.Context, r sqlc.Rule, d sqlc.RuleDelivery, o outcome, began time.Time) error {
	now := store.Now()
	p := sqlc.SettleParams{ID: d.ID, Lease: d.Lease, State: delivered, DueAt: d.DueAt, EndedAt: now}
	p.Attempts = withAttempt(d.Attempts, attempt{
		At: began.UnixMilli(), Status: o.status, DurationMS: time.Since(began).Milliseconds(), Error: o.err,
	})
	switch {
	case o.err == "":
	case o.final || d.Tries >= r.MaxTries:
		p.State = dead
		s.log.Warn("an event could not be delivered and is a dead letter now", "rule", r.Name, "rule_id", r.ID,
			"delivery", d.ID, "type", d.DetailType, "tries", d.Tries, "err", o.err)
	default:
		p.State, p.EndedAt = pending, 0
		p.DueAt = now + s.pause(d.Tries, o.after).Milliseconds()
	}
	var mine int64
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		mine, err = sqlc.New(tx).Settle(ctx, p)
		return err
	})
	// No row: the lease ran out and somebody else tries, or the rule is gone.
	if err == nil && mine > 0 {
		d.State, d.DueAt, d.Attempts, d.EndedAt, d.Lease, d.LeasedUntil = p.State, p.DueAt, p.Attempts, p.EndedAt, "", 0
		s.metrics.settled(r.Target, p.State)
		s.tell(r.Name, d)
	}
	return err
}

// pause is how long the next try waits after so many: three times as long each
// time, by chance up to a fifth more, so that what failed together does not come
// back together. What the target asks for counts when it is longer.
func (s *Service) pause(tries int64, asked time.Duration) time.Duration {
	d := s.cfg.RetryFirst
	for i := int64(1); i < tries && d < s.cfg.RetryMax; i++ {
		d *= 3
	}
	d = min(max(d, asked), s.cfg.RetryMax)
	return d + rand.N(d/5+1)
}

// withAttempt adds to the attempts of a row and keeps the last ones.
func withAttempt(text string, a attempt) string {
	all := append(attemptsOf(text), a)
	out, err := json.Marshal(all[max(0, len(all)-keptAttempts):])
	if err != nil {
		return text // plain structs can be encoded
	}
	return string(out)
}

func attemptsOf(text string) []attempt {
	var all []attempt
	_ = json.Unmarshal([]byte(text), &all) // withAttempt wrote it
	return all
}
