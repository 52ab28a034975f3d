package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	pullTime      = 30 * time.Second // one request for messages waits so long
	pullHeartbeat = 10 * time.Second // the server says so often that it still waits
	pullSilence   = 25 * time.Second // without a heartbeat: something is wrong
	pullPause     = time.Second      // after a failure
)

// puller gives the messages of a durable consumer to handle, so many at a time.
// It asks the server for as many as can begin at once and no more: a message that
// waited in a buffer would use up its tries there. One subscription is used for
// all, where the library's fetches make one for each message.
type puller struct {
	bus    *Bus
	name   string // of the consumer
	next   string // the subject on which messages are asked for
	handle func(*delivery)

	work  chan *delivery // to a worker that waits
	freed chan struct{}  // a worker has finished
	calls sync.WaitGroup
	idle  int // workers that wait
	room  int // how many more calls may begin; the rest runs
}

// pull runs until ctx is done and the calls of handle have returned.
func (b *Bus) pull(ctx context.Context, from jetstream.Consumer, most int, handle func(*delivery)) {
	info := from.CachedInfo()
	p := &puller{
		bus: b, name: info.Name, handle: handle,
		next: jetstream.DefaultAPIPrefix + "CONSUMER.MSG.NEXT." + info.Stream + "." + info.Name,
		work: make(chan *delivery), freed: make(chan struct{}, most), room: most,
	}
	defer p.calls.Wait()
	defer close(p.work)
	for ctx.Err() == nil {
		err := p.session(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		b.log.Warn("bus: waiting for events", "consumer", p.name, "err", err)
		select {
		case <-time.After(pullPause):
		case <-ctx.Done():
		}
	}
}

// session asks and hears under an address of its own until something is wrong:
// what was asked for under it is void then. nil: the connection is new.
func (p *puller) session(ctx context.Context) error {
	arrived := make(chan *nats.Msg, 4*cap(p.freed)+16)
	inbox := p.bus.nc.NewInbox()
	sub, err := p.bus.nc.ChanSubscribe(inbox, arrived)
	if err != nil {
		return err
	}
	defer p.leave(sub, arrived)
	renewed := p.bus.nc.StatusChanged(nats.CONNECTED)
	defer p.bus.nc.RemoveStatusListener(renewed)
	silence := time.NewTimer(pullSilence)
	defer silence.Stop()

	asked := 0
	for {
		// What is asked while the connection is away would reach the server after
		// the session is over.
		if p.room > asked && p.bus.nc.IsConnected() {
			if err := p.ask(inbox, p.room-asked); err != nil {
				return err
			}
			asked = p.room
			silence.Reset(pullSilence) // heartbeats begin anew
		}
		select {
		case msg := <-arrived:
			silence.Reset(pullSilence)
			asked, err = p.heard(msg, asked)
			if err != nil {
				return err
			}
		case <-p.freed:
			p.finished()
		case <-silence.C:
			if asked > 0 {
				return errors.New("the bus is silent")
			}
			silence.Reset(pullSilence)
		case <-renewed:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// leave ends a session. What has arrived for it goes back.
func (p *puller) leave(sub *nats.Subscription, arrived chan *nats.Msg) {
	_ = sub.Unsubscribe()
	for {
		select {
		case msg := <-arrived:
			if status(msg) == "" {
				_ = (&delivery{msg, p.bus.nc}).Nak()
			}
		default:
			return
		}
	}
}

func (p *puller) ask(inbox string, n int) error {
	body, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{n, pullTime, pullHeartbeat})
	if err != nil {
		return err
	}
	return p.bus.nc.PublishRequest(p.next, inbox, body)
}

// heard takes what the server sent, and returns how many messages it still owes.
func (p *puller) heard(msg *nats.Msg, asked int) (int, error) {
	switch code := status(msg); code {
	case "":
		p.begin(&delivery{msg, p.bus.nc})
		return max(0, asked-1), nil
	case "100": // a heartbeat
		return asked, nil
	case "408": // the time of one request is over
		left, err := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
		if err != nil {
			left = asked
		}
		return max(0, asked-left), nil
	default:
		return 0, fmt.Errorf("the bus says %s %s", code, msg.Header.Get("Description"))
	}
}

// status is the code of a message that is the server's own word, "" of one that
// somebody published. A plugin may publish what looks like the server's word; but
// what is delivered has an address for its acknowledgement.
func status(msg *nats.Msg) string {
	if len(msg.Data) > 0 || msg.Reply != "" {
		return ""
	}
	return msg.Header.Get("Status")
}

// begin hands a message to a worker. Workers stay: a goroutine's stack has to
// grow for what handlers do, which costs more than most of them.
func (p *puller) begin(d *delivery) {
	p.room--
	if p.idle > 0 {
		p.idle--
	} else {
		p.calls.Go(p.worker)
	}
	p.work <- d
}

func (p *puller) finished() {
	p.room++
	p.idle++
}

func (p *puller) worker() {
	for d := range p.work {
		p.handle(d)
		p.freed <- struct{}{}
	}
}
