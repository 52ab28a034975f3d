package bus_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

var (
	one = bus.Plugin{Name: "one", Hook: "preValidate", Secret: "the-secret-of-one-1234"}
	two = bus.Plugin{Name: "two", Hook: "preValidate", Secret: "the-secret-of-two-1234"}
)

func openForPlugins(t *testing.T, plugins ...bus.Plugin) *bus.Bus {
	t.Helper()
	cfg := testConfig(t)
	cfg.Listen = "127.0.0.1:0"
	b := open(t, cfg)
	if err := b.SetPlugins(context.Background(), plugins); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPluginComesBackWhileTheBusOpens: it is let in from the first moment, before
// anybody has said anew which plugins there are, and hears what it has missed.
func TestPluginComesBackWhileTheBusOpens(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen, cfg.Plugins = "127.0.0.1:0", []bus.Plugin{one}
	b := open(t, cfg)
	early := dial(t, b, one)
	if err := b.SetPlugins(context.Background(), cfg.Plugins); err != nil {
		t.Fatal(err)
	}
	missed := invoke(one, "v1")
	if err := b.Publish(context.Background(), missed); err != nil {
		t.Fatal(err)
	}
	if _, e := early.next(t, one); e.ID != missed.ID {
		t.Errorf("it hears %s, want %s", e.ID, missed.ID)
	}
}

// outside is a plugin's connection, with what the server refused it.
type outside struct {
	*nats.Conn
	mu      sync.Mutex
	refused []string
}

func (o *outside) refusals() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.refused)
}

func dial(t *testing.T, b *bus.Bus, p bus.Plugin) *outside {
	t.Helper()
	o := &outside{}
	nc, err := nats.Connect("nats://"+b.Addr(), nats.UserInfo(p.Name, p.Secret), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.refused = append(o.refused, err.Error())
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	o.Conn = nc
	return o
}

func pulls(p bus.Plugin) string { return "$JS.API.CONSUMER.MSG.NEXT.EVENTS.plugin-" + p.Name }

// next asks for the plugin's next event as any NATS client can.
func (o *outside) next(t *testing.T, p bus.Plugin) (*nats.Msg, event.Envelope) {
	t.Helper()
	msg, err := o.Request(pulls(p), []byte(`{"batch":1,"expires":5000000000}`), 6*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Parse(msg.Data)
	if err != nil {
		t.Fatalf("%v %s: %v", msg.Header, msg.Data, err)
	}
	return msg, e
}

func asked(video string) event.PluginVideo {
	return event.PluginVideo{
		ID: video, Channel: "c", CreatedAt: "2026-11-26T12:00:00Z", StreamURL: "https://tv.example/vod/" + video + "/master.m3u8",
	}
}

func invoke(p bus.Plugin, video string) event.Envelope {
	return event.New(event.PluginInvocation{Hook: p.Hook, Plugin: p.Name, TaskToken: "token-of-" + video, Video: asked(video)})
}

func answer(p bus.Plugin) event.Envelope {
	return event.New(event.PluginComplete{Plugin: p.Name, TaskToken: "t", Message: json.RawMessage(`{"valid":true}`)})
}

func encode(t *testing.T, e event.Envelope) []byte {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func answers(t *testing.T, b *bus.Bus) *heard {
	t.Helper()
	var h heard
	if err := b.Consume(context.Background(), h.consumer("answers", event.Filter{Source: "serverlessVideo.plugin*", Type: "plugin-complete*"})); err != nil {
		t.Fatal(err)
	}
	return &h
}

func TestPluginHearsItsHookAndAnswers(t *testing.T) {
	b := openForPlugins(t, one, two)
	h := answers(t, b)
	mine := invoke(one, "v1")
	publish(t, b, invoke(two, "v0"), deleted("v0"), mine)

	o := dial(t, b, one)
	msg, e := o.next(t, one)
	if e.ID != mine.ID {
		t.Fatalf("heard %+v, want its own hook", e)
	}
	if _, err := o.Request(msg.Reply, []byte("+ACK"), 5*time.Second); err != nil {
		t.Fatalf("acknowledging: %v", err)
	}
	a := answer(one)
	ack, err := o.Request(a.Subject(), encode(t, a), 5*time.Second)
	if err != nil || !strings.Contains(string(ack.Data), `"stream":"EVENTS"`) {
		t.Fatalf("answering: %v %s", err, ack.Data)
	}
	eventually(t, "the answer is heard", func() bool { return slices.Contains(h.all(), a.ID) })
	if r := o.refusals(); len(r) != 0 {
		t.Errorf("refused: %v", r)
	}
}

// The client library's own pull subscription works, as long as it does not ask
// for the consumer's state.
func TestPluginWithTheLibrarysSubscription(t *testing.T) {
	b := openForPlugins(t, one)
	o := dial(t, b, one)
	js, err := o.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	sub, err := js.PullSubscribe("", "plugin-one", nats.Bind("EVENTS", "plugin-one"), nats.SkipConsumerLookup())
	if err != nil {
		t.Fatal(err)
	}
	first, second := invoke(one, "v1"), invoke(one, "v2")
	publish(t, b, first, second)
	var got []string
	for len(got) < 2 {
		msgs, err := sub.Fetch(2, nats.MaxWait(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			e, err := event.Parse(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.ID)
			if err := m.AckSync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Contains(got, first.ID) || !slices.Contains(got, second.ID) {
		t.Errorf("got %v", got)
	}
}

func TestPluginWasAway(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen = "127.0.0.1:0"
	b, err := bus.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetPlugins(context.Background(), []bus.Plugin{one}); err != nil {
		t.Fatal(err)
	}
	waiting := invoke(one, "v1")
	publish(t, b, waiting)
	closeBus(t, b)

	b = open(t, cfg)
	if err := b.SetPlugins(context.Background(), []bus.Plugin{one}); err != nil {
		t.Fatal(err)
	}
	if _, e := dial(t, b, one).next(t, one); e.ID != waiting.ID {
		t.Errorf("got %s, want what was said while it was away", e.ID)
	}
}

func TestPluginMayPublishNothingElse(t *testing.T) {
	b := openForPlugins(t, one, two)
	publish(t, b, deleted("v"), invoke(two, "v"))
	subjects := []string{
		"ev.serverlessVideo-plugin-two.plugin-complete.-",
		"ev.serverlessVideo-plugin-one.plugin-completely.-",
		"ev.serverlessVideo-plugin-one.plugin-complete.a.b",
		"ev.serverlessVideo-streaming.Stream-State-Change.st-1",
		"ev.serverlessVideo-pluginManager.preValidate-one.v",
		"dead.one", "rt.reaction.c", "_INBOX.x", "anything",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS.plugin-two",
		"$JS.API.CONSUMER.MSG.NEXT.DEAD.plugin-one",
		"$JS.API.CONSUMER.INFO.EVENTS.plugin-one",
		"$JS.API.CONSUMER.CREATE.EVENTS.mine",
		"$JS.API.CONSUMER.DELETE.EVENTS.plugin-one",
		"$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.MINE",
		"$JS.API.STREAM.UPDATE.EVENTS", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.PURGE.EVENTS",
		"$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.DIRECT.GET.EVENTS", "$JS.API.INFO",
		"$JS.ACK.EVENTS.plugin-two.1.1.1.1.0", "$JS.ACK.EVENTS.answers.1.1.1.1.0",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO",
	}
	o := dial(t, b, one)
	for _, subject := range subjects {
		if err := o.PublishRequest(subject, o.NewInbox(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each is refused", func() bool { return len(o.refusals()) >= len(subjects) })
	said := strings.Join(o.refusals(), "\n")
	for _, subject := range subjects {
		if !strings.Contains(said, fmt.Sprintf("Permissions Violation for Publish to %q", subject)) {
			t.Errorf("%s is not refused", subject)
		}
	}
}

func TestPluginMaySubscribeToNothingElse(t *testing.T) {
	b := openForPlugins(t, one, two)
	subjects := []string{">", "*", "ev.>", "ev.serverlessVideo-pluginManager.preValidate-one.*", "rt.>", "dead.*", "$JS.>", "$JS.ACK.>", "$SYS.>", "_INBOX_two.>"}
	o := dial(t, b, one)
	for _, subject := range subjects {
		if _, err := o.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each is refused", func() bool { return len(o.refusals()) >= len(subjects) })
	said := strings.Join(o.refusals(), "\n")
	for _, subject := range subjects {
		if !strings.Contains(said, fmt.Sprintf("Permissions Violation for Subscription to %q", subject)) {
			t.Errorf("%s is not refused", subject)
		}
	}
}

// Inboxes are the plugin's own: another plugin's replies do not come there.
func TestPluginHearsNoOthersReplies(t *testing.T) {
	b := openForPlugins(t, one, two)
	spy := dial(t, b, one)
	sub, err := spy.SubscribeSync("_INBOX.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := spy.Flush(); err != nil {
		t.Fatal(err)
	}
	publish(t, b, invoke(two, "v"))
	other := dial(t, b, two)
	msg, _ := other.next(t, two)
	if _, err := other.Request(msg.Reply, []byte("+ACK"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.NextMsg(100 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("overheard %v, %v", m, err)
	}
}

// The server sends replies wherever it is asked to. In an account of their own
// plugins cannot have it do what they may not do themselves: the reply to an
// answer, {"stream":…,"seq":…}, would be taken for an order to purge up to seq.
func TestPluginCannotUseRepliesAsOrders(t *testing.T) {
	b := openForPlugins(t, one, two)
	h := answers(t, b)
	var live heard
	stop, err := b.SubscribeLive("rt.>", func(subject string, _ []byte) { live.add(event.Envelope{ID: subject}) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	kept := deleted("v")
	publish(t, b, kept, invoke(one, "v1"), invoke(two, "v2"))
	o := dial(t, b, one)
	orders := []string{"$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.CONSUMER.DELETE.EVENTS.plugin-two",
		"rt.reaction.c", "ev.serverlessVideo-videoManager.VideoDeleted.v", "ev.serverlessVideo-plugin-one.plugin-complete.-", pulls(two)}
	for _, order := range orders {
		a := answer(one)
		if err := o.PublishRequest(a.Subject(), order, encode(t, a)); err != nil {
			t.Fatal(err)
		}
		if err := o.PublishRequest(pulls(one), order, []byte(`{"no_wait":true}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answers are heard", func() bool { return len(h.all()) == len(orders) })
	var all heard
	if err := b.Consume(context.Background(), all.consumer("all", event.Filter{Type: "VideoDeleted"})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event is still there", func() bool { return slices.Contains(all.all(), kept.ID) })
	if got := all.all(); len(got) != 1 {
		t.Errorf("%d events, want 1", len(got))
	}
	if got := live.all(); len(got) != 0 {
		t.Errorf("live messages came: %v", got)
	}
	if _, e := dial(t, b, two).next(t, two); e.DetailType != "preValidate.two" {
		t.Errorf("the other plugin got %s", e.DetailType)
	}
}

// What a plugin says under another name is dropped, though it came on its own
// subject.
func TestPluginCannotForgeTheSource(t *testing.T) {
	b := openForPlugins(t, one, two)
	var all heard
	if err := b.Consume(context.Background(), all.consumer("all", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	o := dial(t, b, one)
	own := answer(one)
	for _, e := range []event.Envelope{answer(two), deleted("v"), event.New(event.BroadcastUserCreated{Sub: "x"}), own} {
		if _, err := o.Request(own.Subject(), encode(t, e), 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Request(own.Subject(), []byte("no event"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	last := deleted("last")
	publish(t, b, last)
	eventually(t, "the last is heard", func() bool { return slices.Contains(all.all(), last.ID) })
	eventually(t, "its own is heard", func() bool { return slices.Contains(all.all(), own.ID) })
	if got := all.all(); len(got) != 2 {
		t.Errorf("heard %d events, want 2", len(got))
	}
}

// TestPluginCannotSuppressEvents: a plugin that foresees an event's id cannot
// have it taken for a repetition of its own answer.
func TestPluginCannotSuppressEvents(t *testing.T) {
	b := openForPlugins(t, one)
	h := &heard{}
	if err := b.Consume(context.Background(), h.consumer("all", event.Filter{Source: event.SourceVideoManager})); err != nil {
		t.Fatal(err)
	}
	coming := deleted("v")
	a := answer(one)
	msg := &nats.Msg{Subject: a.Subject(), Data: encode(t, a), Header: nats.Header{nats.MsgIdHdr: {coming.ID}}}
	o := dial(t, b, one)
	if _, err := o.RequestMsg(msg, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	publish(t, b, coming, coming)
	eventually(t, "the event is heard", func() bool { return len(h.all()) > 0 })
	publish(t, b, deleted("w"))
	eventually(t, "the next one is heard", func() bool { return len(h.all()) > 1 })
	if got := len(h.all()); got != 2 {
		t.Errorf("%d events were heard, want 2: the repetition counts once", got)
	}
}

func TestPluginsAnswerIsLimited(t *testing.T) {
	b := openForPlugins(t, one)
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "CONNECT {\"user\":%q,\"pass\":%q,\"verbose\":false}\r\nPING\r\nPUB %s %d\r\n", one.Name, one.Secret, answer(one).Subject(), 64<<10+1)
	var got strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if !strings.Contains(got.String(), "Maximum Payload Violation") {
		t.Errorf("server said %q", got.String())
	}
}

func TestPluginCredentials(t *testing.T) {
	b := openForPlugins(t, one)
	for name, opts := range map[string][]nats.Option{
		"nobody":       nil,
		"wrong secret": {nats.UserInfo("one", two.Secret)},
		"no secret":    {nats.UserInfo("one", "")},
		"unknown":      {nats.UserInfo("two", two.Secret)},
		"the bus":      {nats.UserInfo("@serverlessvideo", "")},
	} {
		if nc, err := nats.Connect("nats://"+b.Addr(), opts...); err == nil {
			nc.Close()
			t.Errorf("%s: connected", name)
		}
	}
}

func TestPluginsChange(t *testing.T) {
	b := openForPlugins(t, one)
	first := dial(t, b, one)
	h := answers(t, b)
	for range 3 { // the bus itself must not mind
		if err := b.SetPlugins(context.Background(), []bus.Plugin{one, two}); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, invoke(two, "v"))
	dial(t, b, two).next(t, two)
	if !first.IsConnected() {
		t.Error("the first was cut when the second came")
	}
	a := answer(one)
	if _, err := first.Request(a.Subject(), encode(t, a), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first is heard", func() bool { return slices.Contains(h.all(), a.ID) })

	changed := one
	changed.Secret, changed.Hook = "another-secret-of-one", "postValidate"
	if err := b.SetPlugins(context.Background(), []bus.Plugin{changed}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old credential is cut", first.IsClosed)
	if _, err := nats.Connect("nats://"+b.Addr(), nats.UserInfo(two.Name, two.Secret)); err == nil {
		t.Error("the second may still connect")
	}
	again := invoke(changed, "v9")
	publish(t, b, again)
	if _, e := dial(t, b, changed).next(t, changed); e.ID != again.ID {
		t.Errorf("got %s, want %s", e.ID, again.ID)
	}
	if gone, err := b.Prune(context.Background()); err != nil || len(gone) != 0 {
		t.Errorf("pruned %v, %v", gone, err)
	}
}

func TestPluginThatDoesNotReadIsCut(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen, cfg.WriteDeadline = "127.0.0.1:0", 300*time.Millisecond
	b := open(t, cfg)
	if err := b.SetPlugins(context.Background(), []bus.Plugin{one}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "CONNECT {\"user\":%q,\"pass\":%q,\"verbose\":false}\r\nSUB _INBOX.a 1\r\nPUB %s _INBOX.a 13\r\n{\"batch\":200}\r\n", one.Name, one.Secret, pulls(one))
	big := event.PluginInvocation{Hook: one.Hook, Plugin: one.Name, TaskToken: "t", Video: asked("v"), PluginData: event.PluginOutputs{
		"preValidate": {{OutputKey: "plugin-x", OutputValue: json.RawMessage(`"` + strings.Repeat("x", 200<<10) + `"`)}}}}
	for range 28 {
		publish(t, b, event.New(big))
	}
	// Cut: reading ends with an error after what was in the sockets' buffers.
	time.Sleep(2 * cfg.WriteDeadline)
	buf, read := make([]byte, 1<<20), 0
	for {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		read += n
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("the connection is still open")
		}
		if err != nil {
			break
		}
	}
	if read > 6<<20 {
		t.Errorf("it was given %d bytes", read)
	}
	// The bus itself goes on.
	publish(t, b, deleted("v"))
}

func TestPluginsOverTLS(t *testing.T) {
	// The test server of the standard library lends its certificate.
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	cfg := testConfig(t)
	cfg.Listen, cfg.TLS = "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}
	b := open(t, cfg)
	for range 2 {
		if err := b.SetPlugins(context.Background(), []bus.Plugin{one}); err != nil {
			t.Fatal(err)
		}
	}
	trusted := web.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trusted.ServerName = "example.com"
	nc, err := nats.Connect("nats://"+b.Addr(), nats.UserInfo(one.Name, one.Secret), nats.Secure(trusted), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	a := answer(one)
	if _, err := nc.Request(a.Subject(), encode(t, a), 5*time.Second); err != nil {
		t.Error(err)
	}
	if plain, err := nats.Connect("nats://"+b.Addr(), nats.UserInfo(one.Name, one.Secret), nats.NoReconnect(), nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12})); err == nil {
		plain.Close()
		t.Error("an unknown certificate was taken")
	}
}

func TestSetPluginsRefuses(t *testing.T) {
	b := openForPlugins(t)
	for name, p := range map[string]bus.Plugin{
		"name":         {Name: "a.b", Hook: "preValidate", Secret: one.Secret},
		"quoted name":  {Name: `a" }`, Hook: "preValidate", Secret: one.Secret},
		"hook":         {Name: "a", Hook: "pre.Validate", Secret: one.Secret},
		"no hook":      {Name: "a", Secret: one.Secret},
		"short secret": {Name: "a", Hook: "preValidate", Secret: "short"},
		"hash":         {Name: "a", Hook: "preValidate", Secret: "$2a$10$abcdefghijklmnopqrstuv"},
	} {
		err := b.SetPlugins(context.Background(), []bus.Plugin{p})
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), p.Secret) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
	if err := b.SetPlugins(context.Background(), []bus.Plugin{one, one}); err == nil {
		t.Error("twice the same: no error")
	}
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, listen := range map[string]string{"no port": "127.0.0.1", "no number": "127.0.0.1:x", "taken": taken.Addr().String()} {
		cfg := testConfig(t)
		cfg.Listen = listen
		if b, err := bus.Open(context.Background(), cfg); err == nil {
			closeBus(t, b)
			t.Errorf("%s: no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// A plugin's event under an id or a name that no row can keep reaches nobody, and
// holds up nothing: what comes behind it is heard.
func TestPluginsNamesAreChecked(t *testing.T) {
	b := openForPlugins(t, one)
	h := answers(t, b)
	o := dial(t, b, one)
	bad, good := []event.Envelope{answer(one), answer(one), answer(one)}, answer(one)
	bad[0].ID = "a\x00"
	bad[1].DetailType = "plugin\x00complete" // on the subject of plugin-complete
	bad[2].ID = strings.Repeat("x", 200)
	for _, e := range append(bad, good) {
		if _, err := o.Request(e.Subject(), encode(t, e), 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the good one is heard", func() bool { return slices.Contains(h.all(), good.ID) })
	if all := h.all(); len(all) != 1 {
		t.Errorf("heard %q", all)
	}
}
