package bench

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
)

// What lifecycles cost that wait for a plugin that does not answer: memory for
// each, and CPU in a second for all together. As many wait already when it begins,
// so what a node keeps however many wait is not counted. Run it with -benchtime 500x.
func BenchmarkWaiting(b *testing.B) {
	silent := pluginmanager.Options{Plugins: []pluginmanager.Plugin{{Manifest: pluginmanager.Manifest{Name: "silent", EventHook: "preValidate"}}}}
	on(b, silent, func(b *testing.B, n *node) {
		idle := cpu(5 * time.Second)
		n.wait(b.N)
		before := memory()
		b.ResetTimer()
		n.wait(2 * b.N)
		b.StopTimer()
		b.ReportMetric(float64(memory()-before)/float64(b.N), "B/flow")
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(cpu(5*time.Second)-idle, "cpu-ms/s")
		b.ReportMetric(idle, "idle-cpu-ms/s")
	})
}

// wait begins lifecycles until so many wait, and lets them come to rest: after 10 s
// they wait without a run.
func (n *node) wait(many int) {
	n.b.Helper()
	asked := func() (asked int) {
		if err := n.db.Read().QueryRow(`SELECT count(*) FROM plugin_tasks`).Scan(&asked); err != nil {
			n.b.Fatal(err)
		}
		return asked
	}
	for range many - asked() {
		n.say(ready("st-" + id.New()))
	}
	n.until("all are asked", func() bool { return asked() == many })
	time.Sleep(15 * time.Second)
}

func (n *node) until(what string, done func() bool) {
	n.b.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			n.b.Fatal("never: " + what)
		}
	}
}

// memory is what is in use, in bytes: the heap and the stacks.
func memory() int64 {
	for range 5 {
		runtime.GC() // each halves the stacks that are mostly empty
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// cpu is how many ms of CPU the process uses in a second.
func cpu(over time.Duration) float64 {
	before := used()
	time.Sleep(over)
	return float64((used() - before).Microseconds()) / 1000 / over.Seconds()
}

// used is the CPU time of the process so far.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
