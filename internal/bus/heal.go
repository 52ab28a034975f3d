package bus

import (
	"context"
	"errors"
	"os"
	"time"
)

// healEvery is how often the server is looked at.
const healEvery = time.Second

// heal watches for a server that has given up its disk, until stopHealer. A write
// that fails, because the disk is full, say, is kept by the server (2.15): it takes
// nothing until it is started again, also when there is room. It says so in its
// log alone, and answers publishers nothing. So it is restarted as soon as its
// folder takes files again; its clients come back by themselves.
func (e *embedded) heal() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	e.stopHealer = func() { cancel(); <-done }
	go func() {
		defer close(done)
		tick := time.NewTicker(healEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if !e.log.writesNoMore() && e.server().JetStreamEnabled() {
				continue
			}
			if err := e.probe(); err != nil {
				e.log.log.Debug("the bus waits for its folder", "err", err)
				continue
			}
			e.restart("its folder can be written again")
		}
	}()
}

// probe says whether the folder takes a file.
func (e *embedded) probe() error {
	f, err := os.CreateTemp(e.cfg.Dir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// restart ends the server as a crash of it would, and starts it on the same
// folder. What was not acknowledged is published again.
func (e *embedded) restart(why string) {
	e.restarting.Lock()
	defer e.restarting.Unlock()
	e.log.Warnf("it is restarted: %s", why)
	e.stop()
	if err := e.start(); err != nil {
		e.log.Errorf("it does not come back, and is tried again: %v", err)
	}
}
