package harness

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/sdk"
)

const outsideSecret = "a-secret-of-sixteen-or-more"

// Outside is a plugin outside the process, written with the SDK: it reaches its
// node over the bus alone.
type Outside struct {
	t                    testing.TB
	name, addr, manifest string
}

// NewOutside makes a plugin for a hook, such as preValidate. Its node is started
// with its Flags.
func NewOutside(t testing.TB, name, hook string) *Outside {
	t.Helper()
	text, err := json.Marshal(map[string]string{"name": name, "description": "is tested with", "eventHook": hook})
	if err != nil {
		t.Fatal(err)
	}
	o := &Outside{t: t, name: name, addr: FreeAddress(t), manifest: filepath.Join(t.TempDir(), "plugin.json")}
	if err := os.WriteFile(o.manifest, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// Flags are those of a node that knows the plugin.
func (o *Outside) Flags() []string {
	return []string{"--bus-listen", o.addr, "--plugins", o.manifest + "=" + outsideSecret}
}

// Run lets the plugin answer whenever there is a node, until stop is called or the
// test ends. stop returns when it has ended.
func (o *Outside) Run(h sdk.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_ = sdk.Serve(ctx, sdk.Options{URL: "nats://" + o.addr, Name: o.name, Secret: outsideSecret}, h)
			select { // its supervisor starts it again
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	o.t.Cleanup(stop)
	return stop
}
