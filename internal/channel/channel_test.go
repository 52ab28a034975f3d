package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/serverlessvideo/serverlessvideo/internal/channel/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type urls struct{}

func (urls) Live(c string) string { return "http://localhost:8080/live/" + c + "/master.m3u8" }
func (urls) RTMP() string         { return "rtmp://localhost/live" }
func (urls) LivePicture(c, s string) string {
	return "http://localhost:8080/live/" + c + "/" + s + "/thumbnail.jpg"
}
func (urls) WHIP(c string) string { return "http://localhost:8080/whip/" + c }

// air notes what is published and knows one audience.
type air struct {
	mu   sync.Mutex
	sent []string
	err  error
}

func (a *air) PublishLive(subject string, data []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent = append(a.sent, subject+" "+string(data))
	return a.err
}

func (a *air) Now(streamID string) (LiveNow, bool) {
	return LiveNow{Viewers: 7, Reconnecting: true, Picture: true, OpenFor: 41600 * time.Millisecond}, streamID == "st-2"
}

// owners refuses those who are named.
type owners map[string]error

func (o owners) Gone(_ context.Context, _ *store.Tx, owner string) (bool, error) {
	return o[owner] != nil, nil
}

func (o owners) MayBroadcast(_ context.Context, _ *store.Tx, owner string) error { return o[owner] }

type node struct {
	*Service
	client *apitest.Client
	air    *air
	owners owners
	db     *store.DB
}

func newNode(t *testing.T, db *store.DB) *node {
	t.Helper()
	n := &node{air: &air{}, owners: owners{}, db: db}
	var err error
	n.Service, err = New(Config{
		DB: db, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Secret: []byte("0123456789abcdef0123456789abcdef"),
		URLs: func(context.Context) URLs { return urls{} }, Realtime: n.air, Audience: n.air, Owners: n.owners,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.client = apitest.New(t, func(g *gateway.Gateway) { n.Register(g.API()) })
	return n
}

func each(t *testing.T, test func(t *testing.T, n *node)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { test(t, newNode(t, db)) })
}

func ann() identity.Principal {
	return identity.Principal{ID: "ann", Username: "quiet-otter-42", Roles: identity.Roles{identity.Broadcaster}}
}

func bob() identity.Principal {
	return identity.Principal{ID: "bob", Username: "bold-owl-11", Roles: identity.Roles{identity.Viewer}}
}

func (n *node) ensure(t *testing.T, p identity.Principal) Channel {
	t.Helper()
	c, err := n.Ensure(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hear gives an event to the consumer that filters for it.
func (n *node) hear(t *testing.T, e event.Envelope) {
	t.Helper()
	heard := 0
	for _, c := range n.Consumers() {
		for _, f := range c.Filters {
			if f.Match(e) {
				heard++
				if err := c.Handle(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if heard != 1 {
		t.Fatalf("%s is heard by %d consumers", e.DetailType, heard)
	}
}

func stream(name, channel, id string) event.Envelope {
	return event.New(event.StreamStateChange{EventName: name, ChannelName: channel, StreamID: id})
}

// said returns the types of the events in the outbox, in order.
func (n *node) said(t *testing.T) string {
	t.Helper()
	rows, err := n.db.Read().QueryContext(t.Context(), "SELECT body FROM outbox ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var types []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		e, err := event.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.DetailType)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(types, " ")
}

func TestEnsureMakesOneChannel(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		const callers = 6
		results := make(chan Channel, callers)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				if i%2 == 0 {
					e := event.New(event.BroadcastUserCreated{Sub: "ann", Email: "a@example.com", Username: "quiet-otter-42"})
					if err := n.userCreated(context.Background(), e); err != nil {
						t.Error(err)
					}
				}
				c, err := n.Ensure(context.Background(), ann())
				if err != nil {
					t.Error(err)
				}
				results <- c
			})
		}
		group.Wait()
		first := <-results
		for range callers - 1 {
			if c := <-results; c != first {
				t.Errorf("%+v and %+v", c, first)
			}
		}
		if !strings.HasPrefix(first.StreamKey, "sk_") || len(first.StreamKey) != 3+32 || first.Username != "quiet-otter-42" || first.Live {
			t.Errorf("%+v", first)
		}
		if said := n.said(t); said != "ChannelUpdated" {
			t.Errorf("said %q", said)
		}
	})
}

func TestStreamKeys(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		c := n.ensure(t, ann())
		if id, name, err := n.ChannelByKey(t.Context(), c.StreamKey); err != nil || id != "ann" || name != "quiet-otter-42" {
			t.Error(id, name, err)
		}
		fresh, err := n.RotateKey(t.Context(), "ann")
		if err != nil || fresh == c.StreamKey {
			t.Fatal(fresh, err)
		}
		for key, code := range map[string]errs.Code{fresh: "", c.StreamKey: errs.NotFound, "": errs.NotFound, "sk_": errs.NotFound} {
			if _, _, err := n.ChannelByKey(t.Context(), key); errs.CodeOf(err) != code {
				t.Errorf("key %q: %v", key, err)
			}
		}
		if again := n.ensure(t, ann()); again.StreamKey != fresh {
			t.Errorf("the key is %q, was rotated to %q", again.StreamKey, fresh)
		}
		if _, err := n.RotateKey(t.Context(), "nobody"); errs.CodeOf(err) != errs.NotFound {
			t.Error(err)
		}
		if said := n.said(t); said != "ChannelUpdated StreamKeyRotated" {
			t.Errorf("said %q", said)
		}
		row, err := sqlc.New(n.db.Read()).Get(t.Context(), "ann")
		if err != nil || bytes.Contains(row.KeySealed, []byte(fresh)) || strings.Contains(row.KeyHash, fresh) {
			t.Error("the key stands in the table", err)
		}
	})
}

func TestEpoch(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		n.ensure(t, ann())
		raise := func(id string, fail error) (epoch int64, err error) {
			err = n.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if epoch, err = n.RaiseEpoch(ctx, tx, id); err != nil {
					return err
				}
				return fail
			})
			return epoch, err
		}
		for want := range int64(3) {
			if epoch, err := raise("ann", nil); err != nil || epoch != want+1 {
				t.Errorf("epoch %d, want %d (%v)", epoch, want+1, err)
			}
		}
		if _, err := raise("ann", errors.New("the stream's row cannot be written")); err == nil {
			t.Fatal("no error")
		}
		if epoch, err := raise("ann", nil); err != nil || epoch != 4 {
			t.Errorf("after a rollback: epoch %d, %v", epoch, err)
		}
		if _, err := raise("nobody", nil); errs.CodeOf(err) != errs.NotFound {
			t.Error(err)
		}
	})
}

func TestLiveFlag(t *testing.T) {
	start := func(id string) event.Envelope { return stream(event.StreamStart, "ann", id) }
	end := func(id string) event.Envelope { return stream(event.StreamEnd, "ann", id) }
	tests := []struct {
		name string
		hear []event.Envelope
		live string
	}{
		{"start", []event.Envelope{start("st-1")}, "st-1"},
		{"start, end", []event.Envelope{start("st-1"), end("st-1")}, ""},
		{"end before its start", []event.Envelope{end("st-1"), start("st-1")}, ""},
		{"end of an older stream", []event.Envelope{start("st-1"), start("st-2"), end("st-1")}, "st-2"},
		{"start of an older stream", []event.Envelope{start("st-2"), start("st-1")}, "st-2"},
		{"next stream after a late start", []event.Envelope{end("st-1"), start("st-1"), start("st-2")}, "st-2"},
		{"old start after all has ended", []event.Envelope{start("st-2"), end("st-2"), start("st-1")}, ""},
		{"starvation", []event.Envelope{start("st-1"), stream("Starvation Start", "ann", "st-1")}, "st-1"},
		{"another channel", []event.Envelope{stream(event.StreamStart, "nobody", "st-1")}, ""},
	}
	each(t, func(t *testing.T, n *node) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				n.ensure(t, ann())
				defer func() { clearTable(t, n.db) }()
				for _, e := range tt.hear {
					n.hear(t, e)
					n.hear(t, e) // delivered twice
				}
				c, err := n.Channel(t.Context(), "ann")
				if err != nil || c.Live != (tt.live != "") || c.StreamID != tt.live || c.Live == c.LiveSince.IsZero() {
					t.Errorf("%+v, %v", c, err)
				}
			})
		}
	})
}

func clearTable(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM channels")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever the order in which a channel's events come, in the end the channel
// is live with the newest stream if and only if that one has not ended.
func TestLiveFlagInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type heard struct {
			id  string
			end bool
		}
		var all []heard
		streams := rapid.IntRange(1, 5).Draw(t, "streams")
		lastEnds := rapid.Bool().Draw(t, "the last one ends")
		for i := range streams {
			id := fmt.Sprintf("st-%d", i)
			all = append(all, heard{id, false})
			if i < streams-1 || lastEnds {
				all = append(all, heard{id, true})
			}
		}
		var state sqlc.SetLiveParams
		for _, h := range rapid.Permutation(all).Draw(t, "order") {
			if h.end {
				ended(&state, h.id)
			} else {
				started(&state, h.id, 1)
			}
		}
		want := ""
		if !lastEnds {
			want = fmt.Sprintf("st-%d", streams-1)
		}
		if state.LiveStreamID != want || state.Live != (want != "") {
			t.Fatalf("%+v, want %q", state, want)
		}
	})
}

func TestMyChannel(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		n.client.Get("/api/channel").Want(401)
		n.client.As(bob()).Get("/api/channel").Want(403)
		// The event that makes it has not come yet.
		var own map[string]any
		a := n.client.As(ann()).Get("/api/channel").Want(200)
		a.JSON(&own)
		key, _ := own["streamKey"].(string)
		want := map[string]any{
			"name": "ann", "username": "quiet-otter-42", "live": false, "streamKey": key,
			"playbackURL": "http://localhost:8080/live/ann/master.m3u8",
			"rtmpURL":     "rtmp://localhost/live",
			"injestURL":   "http://localhost:8080/whip/ann", "ingestURL": "http://localhost:8080/whip/ann",
		}
		if fmt.Sprint(own) != fmt.Sprint(want) || !strings.HasPrefix(key, "sk_") {
			t.Errorf("%v", own)
		}
		if got := a.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("a secret may be cached: %q", got)
		}
		n.client.Post("/api/channel/rotate-key", nil).Want(401)
		n.client.As(bob()).Post("/api/channel/rotate-key", nil).Want(403)
		n.client.As(ann()).With("Sec-Fetch-Site", "cross-site").Post("/api/channel/rotate-key", nil).Want(403)
		n.client.As(ann()).Post("/api/channel/rotate-key", nil).Want(200).JSON(&own)
		if own["streamKey"] == key || own["username"] != "quiet-otter-42" {
			t.Errorf("rotated: %v", own)
		}
	})
}

func TestPublicChannels(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		for i := range 5 {
			n.ensure(t, identity.Principal{ID: fmt.Sprintf("user-%d", i), Username: fmt.Sprintf("name-%d", i)})
			time.Sleep(2 * time.Millisecond) // the order is by time
		}
		early := stream(event.StreamStart, "user-3", "st-1")
		early.Time = early.Time.Add(-time.Minute)
		n.hear(t, early)
		n.hear(t, stream(event.StreamStart, "user-1", "st-2"))

		a := n.client.Get("/api/channels?limit=100").Want(200)
		for _, secret := range []string{"streamKey", "sk_", "key"} {
			if strings.Contains(string(a.Body), secret) {
				t.Errorf("the list holds %q: %s", secret, a.Body)
			}
		}
		if got := a.Header.Get("Cache-Control"); got != "public, max-age=5" {
			t.Errorf("Cache-Control %q", got)
		}
		for query, want := range map[string]string{
			"":                  "user-4 user-3 user-2 user-1 user-0",
			"limit=2":           "user-4 user-3 | user-2 user-1 | user-0",
			"live=true":         "user-1 user-3",
			"live=true&limit=1": "user-1 | user-3",
			"live=false":        "user-4 user-3 user-2 user-1 user-0",
		} {
			if got := n.walk(t, query); got != want {
				t.Errorf("%q: %q, want %q", query, got, want)
			}
		}
		var one PublicChannel
		n.client.Get("/api/channel/user-1").Want(200).JSON(&one)
		if !one.Live || one.StreamID != "st-2" || one.ViewCount == nil || *one.ViewCount != 7 || one.StartedAt == nil || one.OpenFor == nil || *one.OpenFor != 42 {
			t.Errorf("%+v", one)
		}
		n.client.Get("/api/channel/nobody").Want(404)
		n.client.Get("/api/channels?limit=101").Want(400)
		n.client.Get("/api/channels?offset=x").Want(400)
	})
}

// walk reads a list to its end; pages are separated by " | ".
func (n *node) walk(t *testing.T, query string) string {
	t.Helper()
	var pages []string
	next := ""
	for range 10 {
		var list store.List[PublicChannel]
		n.client.Get("/api/channels?" + query + "&offset=" + next).Want(200).JSON(&list)
		var names []string
		for _, c := range list.Data {
			names = append(names, c.Name)
		}
		pages = append(pages, strings.Join(names, " "))
		if next = list.NextPage; next == "" {
			break
		}
	}
	return strings.Join(pages, " | ")
}

func TestReactions(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		n.ensure(t, ann())
		heart := map[string]any{"type": "❤️", "x": 0.25, "y": 1}
		c := n.client.As(bob())
		c.Post("/api/channel/ann/metadata", heart).Want(409)
		n.hear(t, stream(event.StreamStart, "ann", "st-1"))
		c.Post("/api/channel/ann/metadata", heart).Want(204)
		want := `rt.reaction.ann {"type":"StreamMetadataSent","detail":{"x":0.25,"y":1,"type":"❤️","userId":"bob"}}`
		if len(n.air.sent) != 1 || n.air.sent[0] != want {
			t.Errorf("sent %q", n.air.sent)
		}
		n.client.Post("/api/channel/ann/metadata", heart).Want(401)
		c.Post("/api/channel/nobody/metadata", heart).Want(404)
		for name, bad := range map[string]any{
			"no type":        map[string]any{"type": "", "x": 0, "y": 0},
			"long type":      map[string]any{"type": strings.Repeat("❤", 11), "x": 0, "y": 0},
			"markup":         map[string]any{"type": "<b>", "x": 0, "y": 0},
			"control":        map[string]any{"type": "a\u0007", "x": 0, "y": 0},
			"left of it":     map[string]any{"type": "a", "x": -0.1, "y": 0},
			"below it":       map[string]any{"type": "a", "x": 0, "y": 1.1},
			"text for a num": map[string]any{"type": "a", "x": "0", "y": 1},
			"foreign userId": map[string]any{"type": "a", "x": 0, "y": 1, "userId": "ann"},
			"nothing":        map[string]any{},
		} {
			if a := c.Post("/api/channel/ann/metadata", bad); a.Status != http.StatusBadRequest {
				t.Errorf("%s: %d", name, a.Status)
			}
		}
		n.air.err = errors.New("the bus is away")
		c.Post("/api/channel/ann/metadata", heart).Want(503)
	})
}

func TestReactionsAreLimitedByUser(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}))
	n.ensure(t, ann())
	n.hear(t, stream(event.StreamStart, "ann", "st-1"))
	heart := map[string]any{"type": "heart", "x": 0.5, "y": 0.5}
	limited := false
	for range reactionBurst * 20 {
		a := n.client.As(bob()).Post("/api/channel/ann/metadata", heart)
		if limited = a.Status == http.StatusTooManyRequests; limited {
			if a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
		a.Want(204)
	}
	if !limited {
		t.Error("nobody is limited")
	}
	n.client.As(ann()).Post("/api/channel/ann/metadata", heart).Want(204)
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		if all, err := n.List(t.Context()); err != nil || all == nil || len(all) != 0 {
			t.Error(all, err)
		}
		n.ensure(t, ann())
		all, err := n.List(t.Context())
		if err != nil || len(all) != 1 || all[0].ID != "ann" || all[0].StreamKey != "" {
			t.Error(all, err)
		}
	})
}

func TestChangedSecret(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}))
	c := n.ensure(t, ann())
	other, err := store.NewSealer([]byte("another secret of thirty-two bytes"), "stream keys")
	if err != nil {
		t.Fatal(err)
	}
	n.sealer = other
	if _, err := n.Ensure(t.Context(), ann()); err == nil || !strings.Contains(err.Error(), "another secret") {
		t.Errorf("no clear error: %v", err)
	}
	// Publishing with the key still works, and a new key mends the rest.
	if _, _, err := n.ChannelByKey(t.Context(), c.StreamKey); err != nil {
		t.Error(err)
	}
	if _, err := n.RotateKey(t.Context(), "ann"); err != nil {
		t.Error(err)
	}
	n.ensure(t, ann())
}
