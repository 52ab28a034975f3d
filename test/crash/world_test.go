package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/sdk"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

const (
	pluginName   = "crash_plugin"
	broadcasters = 4
	// window is the node's reconnect window: broadcasts that a kill has cut off
	// end soon.
	window = 2 * time.Second
)

// world is a node with all who have to do with it: broadcasters, an admin, a
// webhook and a plugin. It lives through many kills, and remembers what the node
// has said to anybody.
type world struct {
	t      *testing.T
	node   *harness.Node
	env    []string // of the node
	db     store.Config
	admin  *harness.Client
	users  []harness.User
	owners []*harness.Client
	rtmp   string
	clip   *rtmptest.Clip
	whip   *streamtest.Clip

	mu      sync.Mutex
	rng     *rand.Rand
	heard   map[hearing]heard // webhook deliveries
	asked   map[string]int    // runs of the plugin by video
	videos  map[string]string // last status that anybody was told
	titles  map[string]string // of videos, as acknowledged
	titled  map[string]int    // how often a title was tried, by video
	deleted map[string]bool   // acknowledged
	deletes map[string]bool   // asked for, acknowledged or not

	rules     map[string]string // ids by name
	elders    map[string]bool   // accounts that were made before the rules
	archived  []int64           // times of the events that were kept when the node was at rest last, in ms
	rests     []int64           // when it was at rest, in ms
	replays   map[string]bool   // acknowledged
	cancels   map[string]bool   // of them, asked for
	simulated map[string]bool   // simulations, acknowledged, since the node was at rest
	stops     map[string]bool   // of simulations, asked for
	forgets   map[string]bool   // of them, that they are forgotten
	due       map[string]bool   // videos that are older than their channel keeps them

	guests   []*guest // who are not known to be deleted
	invited  int
	expels   map[string]bool // accounts that an admin asked to delete
	expelled map[string]bool // of them, acknowledged
}

// heard is what the webhook knows of an event.
type heard struct {
	event.Envelope
	messages map[string]int // deliveries by webhook-id
}

// newWorld starts a node for the first time, on a data folder ("" makes one), and
// gives it all it needs.
func newWorld(t *testing.T, db store.Config, dir string, s uint64) *world {
	t.Helper()
	t.Logf("CRASH_SEED=%d", s)
	w := &world{
		t: t, db: db, rng: rand.New(rand.NewPCG(s, 0)), rtmp: harness.FreeAddress(t),
		heard: map[hearing]heard{}, asked: map[string]int{}, videos: map[string]string{},
		titles: map[string]string{}, titled: map[string]int{}, deleted: map[string]bool{}, deletes: map[string]bool{},
		rules: map[string]string{}, replays: map[string]bool{}, cancels: map[string]bool{}, simulated: map[string]bool{},
		stops: map[string]bool{}, forgets: map[string]bool{}, due: map[string]bool{},
		expels: map[string]bool{}, expelled: map[string]bool{}, elders: map[string]bool{},
	}
	var err error
	if w.clip, err = rtmptest.MakeClip(t.Context(), rtmptest.Spec{Size: "160x90", Seconds: 1, KeyEvery: 15, Bitrate: "100k"}); err != nil {
		t.Fatal(err)
	}
	if w.whip, err = streamtest.MakeClip(t.Context(), streamtest.Picture{Width: 160, Height: 90, Bitrate: 100_000, KeyEvery: 15}, 1); err != nil {
		t.Fatal(err)
	}
	plugin := harness.NewOutside(t, pluginName, "preValidate")
	w.node = harness.New(t, append(plugin.Flags(),
		"--rtmp", w.rtmp,
		"--rules-allow-networks", "127.0.0.1/32", "--streaming-reconnect-window", window.String(),
		"--streaming-transcode-cores", "0.01", "--streaming-thumbnail-every", "0s", // the codecs are not what is tested
	)...)
	if dir != "" {
		w.node.Dir = dir
	}
	w.node.Use(harness.Build(t, "-tags", "failpoints"))
	if db.URL != "" {
		w.node.UseDatabase(db.URL)
	} else {
		w.db.Path = filepath.Join(w.node.Dir, "app.db")
	}
	w.env = w.node.Env
	w.start("")
	w.populate()
	plugin.Run(w.judge())
	return w
}

// launch starts the node with failpoints.
func (w *world) launch(failpoints string) {
	w.t.Helper()
	// Some answers come sooner, most later than the runs of the flows end that wait for them.
	failpoints = "flow.park_ms=value:20;" + failpoints
	if !whole() {
		// What a killed node was working on is tried again after 10 s, and after
		// 60 s by a plugin. The short form has no time for that.
		failpoints = "bus.ack_wait_s=value:3;bus.plugin_ack_wait_s=value:3;" + failpoints
	}
	w.node.Env = append(slices.Clone(w.env), "FAILPOINTS="+failpoints)
	w.node.Launch()
}

// start is launch, and waits until the node is ready.
func (w *world) start(failpoints string) {
	w.t.Helper()
	w.launch(failpoints)
	if !w.awaitReady() {
		w.t.Fatalf("the node ended at its start; its log ends\n%s", tail(w.node.Log(), 30))
	}
}

func (w *world) populate() {
	w.t.Helper()
	admin := w.node.AddUser("admin@example.com", "admin")
	w.elders[admin.ID] = true
	w.admin = w.node.SignIn(admin)
	w.addUsers(broadcasters)
	for _, u := range w.users {
		w.elders[u.ID] = true
		w.owners = append(w.owners, w.node.SignIn(u))
	}
	receiver := httptest.NewServer(http.HandlerFunc(w.receive))
	w.t.Cleanup(receiver.Close)
	for name, pattern := range patterns() {
		status, answer := w.admin.Do(http.MethodPost, "/api/rules", map[string]any{
			"name": name, "enabled": true, "pattern": pattern,
			"target": map[string]string{"type": "webhook", "url": receiver.URL + "/" + name},
		})
		var made struct{ ID string }
		if status != http.StatusCreated && status != http.StatusOK || json.Unmarshal(answer, &made) != nil {
			w.t.Fatalf("making the rule %s: %d %s", name, status, answer)
		}
		w.rules[name] = made.ID
	}
	// Recordings of a second are too short for the built-in validator, and what
	// comes after it should run, too.
	w.change(`UPDATE plugins SET enabled = FALSE WHERE name <> '` + pluginName + `'`)
}

// addUsers adds broadcasters who do not sign in: so many from one address would
// not be let in.
func (w *world) addUsers(n int) {
	w.t.Helper()
	for range n {
		w.users = append(w.users, w.node.AddUser(fmt.Sprintf("caster%d@example.com", len(w.users)), "broadcaster"))
	}
}

// change writes to the database behind the node's back.
func (w *world) change(statement string) {
	w.t.Helper()
	db, err := store.Open(w.t.Context(), w.db)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.Tx(w.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// receive is the webhook. It refuses one delivery in fifty, as targets do.
func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var e event.Envelope
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rng.IntN(50) == 0 {
		http.Error(rw, "not now", http.StatusServiceUnavailable)
		return
	}
	key := hearing{rule: strings.TrimPrefix(r.URL.Path, "/"), replay: r.Header.Get("webhook-replay"), event: e.ID}
	h, known := w.heard[key]
	if !known {
		h = heard{Envelope: e, messages: map[string]int{}}
		w.heard[key] = h
	}
	h.messages[r.Header.Get("webhook-id")]++
}

func (w *world) judge() sdk.Handler {
	return sdk.Validator(func(_ context.Context, in sdk.Invocation) (sdk.Verdict, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked[in.Video.ID]++
		return sdk.Valid(), nil
	})
}

// chance is true so many times in a hundred.
func (w *world) chance(percent int) bool { return w.number(100) < percent }

// number is one of 0 to n-1.
func (w *world) number(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// work lets everybody do something until ctx is done: publish for a second,
// delete, give titles, look, replay, simulate. What needs says is surely done.
func (w *world) work(ctx context.Context, needs deed) {
	var all sync.WaitGroup
	for i := range w.users {
		switch {
		case i == 0 && w.chance(40):
			all.Go(func() { w.publishWHIP(ctx, w.users[i]) })
		case w.chance(75):
			all.Go(func() { w.publishRTMP(ctx, w.users[i]) })
		}
		all.Go(func() { w.look(ctx, w.owners[i]) })
	}
	for _, one := range []struct {
		is      deed
		percent int
		do      func(context.Context)
	}{
		{deletes, 40, w.deleteOne}, {titles, 40, w.titleOne}, {replays, 35, w.replayOne}, {simulates, 35, w.simulateOne},
		{expels, 45, func(ctx context.Context) { w.receiveGuest(ctx, needs == expels) }},
		{expires, 10, func(ctx context.Context) { w.expireOne(); _ = w.keepDay(ctx) }},
	} {
		if w.chance(one.percent) || needs == one.is {
			all.Go(func() { one.do(ctx) })
		}
	}
	all.Wait()
}

// length of a broadcast.
func (w *world) length() time.Duration { return time.Duration(700+w.number(900)) * time.Millisecond }

// Publishers fail whenever the node dies, and that is as it should be: what came
// of them is looked at later.

func (w *world) publishRTMP(ctx context.Context, u harness.User) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p, err := rtmptest.Publish(ctx, "rtmp://"+w.rtmp+"/live/"+u.Channel.StreamKey, rtmptest.Options{
		Clips: []*rtmptest.Clip{w.clip}, Duration: w.length(),
	})
	if err != nil {
		return
	}
	if p.Wait(ctx) == nil && w.chance(70) {
		_ = p.Stop()
		return
	}
	_ = p.Vanish()
}

func (w *world) publishWHIP(ctx context.Context, u harness.User) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p, err := streamtest.Publish(ctx, w.node.WHIP(u), u.Channel.StreamKey, streamtest.Options{
		Clips: []*streamtest.Clip{w.whip}, Duration: w.length(),
	})
	if err != nil {
		return
	}
	if p.Wait(ctx) == nil {
		_ = p.Stop(ctx)
	}
	_ = p.Close()
}

// look remembers what an owner is told of the own videos: none of it may go away.
func (w *world) look(ctx context.Context, owner *harness.Client) {
	for ctx.Err() == nil {
		status, answer, err := owner.Try(ctx, http.MethodGet, "/api/channel/videos?limit=10", nil)
		var list harness.List[harness.Video]
		if err == nil && status == http.StatusOK && json.Unmarshal(answer, &list) == nil {
			w.mu.Lock()
			for _, v := range list.Data {
				w.videos[v.ID] = v.Status
			}
			w.mu.Unlock()
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// pick chooses a video that is there, and its owner.
func (w *world) pick(ctx context.Context) (id string, owner *harness.Client) {
	owner = w.owners[w.number(len(w.owners))]
	status, answer, err := owner.Try(ctx, http.MethodGet, "/api/channel/videos?limit=10", nil)
	var list harness.List[harness.Video]
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &list) != nil || len(list.Data) == 0 {
		return "", owner
	}
	return list.Data[w.number(len(list.Data))].ID, owner
}

func (w *world) deleteOne(ctx context.Context) {
	id, owner := w.pick(ctx)
	if id == "" {
		return
	}
	w.note(w.deletes, id)
	if status, _, err := owner.Try(ctx, http.MethodDelete, "/api/video/"+id, nil); err == nil && status == http.StatusNoContent {
		w.note(w.deleted, id)
	}
}

func (w *world) note(in map[string]bool, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in[id] = true
}

func (w *world) titleOne(ctx context.Context) {
	id, owner := w.pick(ctx)
	if id == "" {
		return
	}
	title := fmt.Sprintf("title %d", w.number(1_000_000))
	w.mu.Lock()
	w.titled[id]++
	w.mu.Unlock()
	status, _, err := owner.Try(ctx, http.MethodPatch, "/api/video/"+id, map[string]string{"title": title})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil && status == http.StatusOK:
		w.titles[id] = title
	default:
		delete(w.titles, id) // it may have it or not
	}
}

// told returns the ids of all videos that anybody was told of.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id := range w.videos {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
