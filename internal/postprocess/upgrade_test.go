package postprocess_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// TestFlowsOfThePreviousBuildGoOn: the flow as it was before storyboards and
// attempts is interrupted at each of its steps, and ends in this build.
func TestFlowsOfThePreviousBuildGoOn(t *testing.T) {
	for _, tt := range []struct {
		stopsIn    string
		storyboard bool // the flow has not passed its place yet
	}{{"started", true}, {"mp4", true}, {"thumbnail", true}, {"complete", false}} {
		t.Run(tt.stopsIn, func(t *testing.T) {
			eachPlace(t, func(t *testing.T, p place) {
				stream := streamID()
				n := open(t, p, postprocess.Config{}, nil)
				record(t, n.objects, "recordings/chan/"+stream)
				if err := n.hear(ended(stream)); err == nil { // the job; its flow is not started
					t.Fatal("the engine is not running")
				}
				// The previous build had made these before it was stopped in "complete".
				var mp4 bytes.Buffer
				if _, err := (remuxer{n.objects}).Remux(t.Context(), "recordings/chan/"+stream, &mp4, nil); err != nil {
					t.Fatal(err)
				}
				put(t, n.objects, "videos/"+stream, map[string][]byte{"video.mp4": mp4.Bytes(), "thumbnail.jpg": []byte("of the previous build")})
				n.shutdown(t)
				previousBuild(t, p, stream, tt.stopsIn)

				n = open(t, p, postprocess.Config{}, nil)
				n.start(t)
				n.await(t, stream, flow.Done)
				d := last[event.MP4ProcessingComplete](t, n)
				if d.Thumbnail == "" || (d.Storyboard != "") != tt.storyboard {
					t.Errorf("complete: %+v", d)
				}
				if got := n.types(t); tt.stopsIn == "started" && !slices.Equal(got, []string{"MP4ProcessingStarted", "MP4ProcessingComplete"}) {
					t.Errorf("said %v", got)
				}
			})
		})
	}
}

// previousBuild begins a flow with the steps and results of the build before,
// and stops in the given one.
func previousBuild(t *testing.T, p place, stream, stopsIn string) {
	t.Helper()
	type job struct {
		ID             string `json:"id"`
		Channel        string `json:"channel"`
		Prefix         string `json:"prefix"`
		DurationMillis int64  `json:"duration_ms"`
	}
	type mp4 struct {
		DurationMillis, Size int64
		Width, Height        int
	}
	type thumbnail struct {
		Made bool
		Note string
	}
	flows, err := flow.Open(context.Background(), flow.Config{
		Path: filepath.Join(p.Dir, "flow.db"), URL: p.Store.URL, NodeID: "n1", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	there := make(chan struct{})
	flow.Register(flows, "postprocess", func(c flow.Context, _ job) (string, error) {
		run := func(name string, result any) error {
			_, err := flow.Step(c, name, func(ctx context.Context) (any, error) {
				if name == stopsIn {
					close(there)
					<-ctx.Done()
				}
				return result, ctx.Err()
			})
			return err
		}
		return "done", errors.Join(run("started", true), run("mp4", mp4{DurationMillis: 4000, Size: 21, Width: 1920, Height: 1080}),
			run("thumbnail", thumbnail{Made: true}), run("complete", true))
	})
	if err := flows.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	in := job{ID: stream, Channel: "chan", Prefix: "recordings/chan/" + stream, DurationMillis: 4000}
	if err := flow.Run(context.Background(), flows, "postprocess", "post-"+stream, in); err != nil {
		t.Fatal(err)
	}
	<-there
	if err := flows.Shutdown(10 * time.Second); err != nil {
		t.Fatal(err)
	}
}
