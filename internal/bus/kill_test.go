package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// The environment of a test process that is to be killed: what it does, where.
const (
	childDoes = "BUS_TEST_CHILD"
	childDir  = "BUS_TEST_DIR"
)

// runAsChild makes this process the child that a test started, if it is one.
func runAsChild() {
	var err error
	switch os.Getenv(childDoes) {
	case "":
		return
	case "publish":
		err = publishForEver(os.Getenv(childDir))
	case "die":
		err = dieHandling(os.Getenv(childDir))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func childConfig(dir string) bus.Config {
	return bus.Config{Dir: dir, AckWait: 300 * time.Millisecond, Tries: 2, MaxBytes: 256 << 20}
}

// publishForEver says the id of each event that was acknowledged.
func publishForEver(dir string) error {
	b, err := bus.Open(context.Background(), childConfig(dir))
	if err != nil {
		return err
	}
	for {
		e := event.New(event.VideoDeleted{ChannelName: "c", ID: "v"})
		if err := b.Publish(context.Background(), e); err != nil {
			return err
		}
		fmt.Println(e.ID)
	}
}

// dieHandling dies of the first event that is delivered, as of a lack of
// memory: not at once. The server writes down what it delivered within some
// 100 ms; a death before that is not counted as a try.
func dieHandling(dir string) error {
	b, err := bus.Open(context.Background(), childConfig(dir))
	if err != nil {
		return err
	}
	err = b.Consume(context.Background(), event.Consumer{Name: "mortal", Filters: []event.Filter{{}}, Handle: func(context.Context, event.Envelope) error {
		time.Sleep(500 * time.Millisecond)
		os.Exit(7)
		return nil
	}})
	if err != nil {
		return err
	}
	time.Sleep(20 * time.Second)
	return fmt.Errorf("nothing was delivered")
}

func child(t *testing.T, does, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDoes+"="+does, childDir+"="+dir)
	cmd.Stderr = testWriter{t}
	return cmd
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for range 3 {
		cmd := child(t, "publish", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acked[strings.TrimSpace(lines.Text())] = true
			if n == 200 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
	}
	if len(acked) < 600 {
		t.Fatalf("only %d were acknowledged", len(acked))
	}
	b := open(t, childConfig(dir))
	var h heard
	if err := b.Consume(context.Background(), h.consumer("all", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	last := deleted("last")
	publish(t, b, last)
	eventually(t, "the last is heard", func() bool { return slices.Contains(h.all(), last.ID) })
	eventually(t, "all that was acknowledged is heard", func() bool {
		got := h.all()
		for id := range acked {
			if !slices.Contains(got, id) {
				return false
			}
		}
		return true
	})
}

// An event that kills the process each time becomes a dead letter through the
// server's advisory.
func TestDeadlyEvent(t *testing.T) {
	dir := t.TempDir()
	b, err := bus.Open(context.Background(), childConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	deadly := deleted("deadly")
	publish(t, b, deadly)
	closeBus(t, b)
	for range 2 {
		cmd := child(t, "die", dir)
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != 7 {
			t.Fatalf("the child did not die of the event: %v", err)
		}
	}
	b = open(t, childConfig(dir))
	var h heard
	if err := b.Consume(context.Background(), h.consumer("mortal", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event is put away", func() bool {
		dead, err := b.DeadLetters(context.Background(), 10)
		return err == nil && len(dead) == 1 && dead[0].Consumer == "mortal" && strings.Contains(dead[0].Reason, "2 tries") && strings.Contains(string(dead[0].Data), deadly.ID)
	})
	if len(h.all()) != 0 {
		t.Error("it was tried a third time")
	}
}
