package streaming

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// counting raises one epoch for all channels.
type counting struct {
	Channels
	epoch int64
}

func (c *counting) MayBroadcast(context.Context, string) error { return nil }

func (c *counting) OwnerGone(context.Context, *store.Tx, string) (bool, error) { return false, nil }

func (c *counting) RaiseEpoch(context.Context, *store.Tx, string) (int64, error) {
	c.epoch++
	return c.epoch, nil
}

// TestRows walks the rows of streams through their lives, on both databases.
func TestRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		objects, err := blob.NewFiles(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		// st-4 has a segment that the object store has not taken yet.
		folder := t.TempDir()
		waiting := recorder.Prefix("c", "st-4") + "/source/" + recorder.Segment{Epoch: 4, StartMS: 1000, Ticks: 270_000, Init: 1}.Name()
		if err := os.WriteFile(filepath.Join(folder, strings.ReplaceAll(waiting, "/", "~")+"~10"), []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
		spill, err := recorder.OpenSpill(folder, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s := &Service{
			cfg: Config{Node: "node-1"}, needs: Needs{DB: db, Objects: objects, Channels: &counting{}},
			log: slog.New(slog.DiscardHandler), live: map[string]*broadcast{}, storing: map[string]time.Time{},
			spill: spill, stored: recorder.NewPending(objects, spill),
		}
		s.vods = newListings(s.stored)
		for i, id := range []string{"st-1", "st-2", "st-3", "st-4"} {
			if epoch, err := s.insertStream(ctx, id, "c"); err != nil || epoch != int64(i+1) {
				t.Fatalf("epoch %d, %v", epoch, err)
			}
		}
		for range 2 { // the second time does nothing
			if err := s.markRecorded(ctx, "st-1", "c"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.endStream(ctx, ending{id: "st-1", channel: "c", at: 5, reason: "over"}); err != nil {
				t.Fatal(err)
			}
		}
		row, err := s.row(ctx, "st-1")
		if err != nil || row.State != stateStoring || !row.Recorded || row.DurationMs != 0 || row.EndedAt != 5 || row.Reason != "over" {
			t.Errorf("%+v %v", row, err)
		}
		for range 2 {
			if _, err := s.endRecording(ctx, "st-1", "c", recorder.Summary{Segments: 2, Ticks: 900_000}); err != nil {
				t.Fatal(err)
			}
		}
		row, err = s.row(ctx, "st-1")
		if err != nil || row.State != stateEnded || !row.Recorded || row.DurationMs != 10_000 || row.EndedAt != 5 || row.Reason != "over" {
			t.Errorf("%+v %v", row, err)
		}
		if _, err := s.row(ctx, "st-9"); errs.CodeOf(err) != errs.NotFound {
			t.Error(err)
		}
		// st-2 has stored something before the power went, st-3 nothing.
		key := recorder.Prefix("c", "st-2") + "/source/" + recorder.Segment{Epoch: 2, StartMS: 1000, Ticks: 180_000, Init: 1}.Name()
		if err := objects.Put(ctx, key, strings.NewReader("0123456789"), 10); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.recover(ctx, false); err != nil {
				t.Fatal(err)
			}
		}
		if row, err := s.row(ctx, "st-2"); err != nil || row.DurationMs != 2000 || row.EndedAt != 3000 || !row.Recorded {
			t.Errorf("%+v %v", row, err)
		}
		if row, err := s.row(ctx, "st-3"); err != nil || row.State != stateEnded || row.Recorded || row.DurationMs != 0 {
			t.Errorf("%+v %v", row, err)
		}
		if row, err := s.row(ctx, "st-4"); err != nil || row.State != stateStoring || row.Recorded || row.EndedAt != 4000 || s.storingCount() != 1 {
			t.Errorf("%+v %v", row, err)
		}
		if err := spill.Recover(ctx, recorder.Recovery{Store: objects, Log: s.log}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.recover(ctx, false); err != nil {
				t.Fatal(err)
			}
		}
		if row, err := s.row(ctx, "st-4"); err != nil || row.State != stateEnded || !row.Recorded || row.DurationMs != 3000 || s.storingCount() != 0 {
			t.Errorf("%+v %v", row, err)
		}
		var n int
		if err := db.Read().QueryRow("SELECT COUNT(*) FROM outbox").Scan(&n); err != nil || n != 4+4+2+4 {
			t.Errorf("%d events were said, not 14: %v", n, err)
		}
		deleted := event.New(event.VideoDeleted{ChannelName: "c", ID: "st-1"})
		for range 2 {
			if err := s.onVideoDeleted(ctx, deleted); err != nil {
				t.Fatal(err)
			}
		}
		if row, err := s.row(ctx, "st-1"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("%+v %v", row, err)
		}
		// Deleted while it was stored: what came after that goes, too.
		if err := s.onVideoDeleted(ctx, event.New(event.VideoDeleted{ChannelName: "c", ID: "st-2"})); err != nil {
			t.Fatal(err)
		}
		if err := s.settle(ctx, "c", "st-2"); err != nil {
			t.Fatal(err)
		}
		if left, err := objects.List(ctx, recorder.Prefix("c", "st-2")); err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		// The others are of the same channel, whose owner's account goes.
		for _, tt := range []struct {
			gone string
			want errs.Code
		}{{"somebody-else", ""}, {"c", errs.NotFound}, {"c", errs.NotFound}} {
			if err := s.onUserDeleted(ctx, event.New(event.UserDeleted{Sub: tt.gone})); err != nil {
				t.Fatal(err)
			}
			if _, err := s.row(ctx, "st-3"); err == nil && tt.want != "" || err != nil && errs.CodeOf(err) != tt.want {
				t.Errorf("after %s: %v, want %q", tt.gone, err, tt.want)
			}
		}
	})
}
