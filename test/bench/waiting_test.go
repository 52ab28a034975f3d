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
// each, and CPU in a second for all together. Run it with -benchtime 2000x.
func BenchmarkWaiting(b *testing.B) {
	silent := pluginmanager.Options{Plugins: []pluginmanager.Plugin{{Manifest: pluginmanager.Manifest{Name: "silent", EventHook: "preValidate"}}}}
	on(b, silent, func(b *testing.B, n *node) {
		empty := memory()
		idle := cpu(5 * time.Second)
		b.ResetTimer()
		for range b.N {
			n.say(ready("st-" + id.New()))
		}
		n.until("all are asked", func() bool {
			var asked int
			if err := n.db.Read().QueryRow(`SELECT count(*) FROM plugin_tasks`).Scan(&asked); err != nil {
				b.Fatal(err)
			}
			return asked == b.N
		})
		b.StopTimer()
		time.Sleep(5 * time.Second) // what was begun comes to rest
		full := memory()
		b.ReportMetric(float64(full-empty)/float64(b.N), "B/flow")
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(cpu(5*time.Second)-idle, "cpu-ms/s")
		b.ReportMetric(idle, "idle-cpu-ms/s")
	})
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
