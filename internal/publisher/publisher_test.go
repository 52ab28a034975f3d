package publisher_test

import (
	"bytes"
	"context"
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

	"github.com/coder/websocket"
	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/publisher"
)

const global = "serverlessVideo-global"

func lifecycle(status string) event.Lifecycle {
	return event.Lifecycle{
		ID: "st-1", ChannelName: "ann", PlaybackURL: "http://x/video.mp4", StreamURL: "http://x/master.m3u8", Thumbnail: "http://x/t.jpg",
		CreatedAt: "2026-11-22T19:00:00Z", DurationMillis: 12345, Height: 720, Width: 1280, RecordingS3KeyPrefix: "recordings/ann/st-1",
		Author:              event.Author{Username: "quick-fox"},
		WorkflowExecutionID: "flow-secret",
		Plugins: event.LifeCycleResult{Status: status, Reason: "the reason", Cause: "plugin-x", Plugin: "x", Hook: "preValidate",
			Outputs: event.PluginOutputs{"preValidate": {{OutputKey: "plugin-x", OutputValue: json.RawMessage(`{"secret":1}`)}}}},
	}
}

// Every event, to whom it goes, and exactly which fields.
func TestWhoIsToldWhat(t *testing.T) {
	passed := lifecycle("")
	passed.Plugins.Reason = ""
	hidden, unsure := passed, passed
	hidden.ID, unsure.ID = "st-hidden", "st-unsure" // not public; nobody knows whether it is
	videoFields := []string{"id", "channel_name", "playback_url", "stream_url", "thumbnail", "createdAt", "durationmillis", "height", "width", "author", "status"}
	tests := []struct {
		name   string
		say    event.Detail
		topic  string // "" for nobody
		fields []string
	}{
		{"stream", event.StreamStateChange{EventName: event.StreamStart, ChannelName: "ann", StreamID: "st-1"}, "global", []string{"event_name", "channel_name", "stream_id"}},
		{"recording", event.RecordingStateChange{RecordingStatus: event.RecordingEnd, ChannelName: "ann", StreamID: "st-1", RecordingS3KeyPrefix: "recordings/ann/st-1", RecordingDurationMS: 5}, "global", []string{"recording_status", "channel_name", "stream_id", "recording_duration_ms"}},
		{"ingest", event.StreamStateChange{EventName: event.IngestConfigured, ChannelName: "ann", StreamID: "st-1", Ingest: &event.IngestConfiguration{Protocol: "RTMP"}}, "user-ann", []string{"event_name", "channel_name", "stream_id"}},
		{"starvation", event.StreamStateChange{EventName: event.StarvationStart, ChannelName: "ann", StreamID: "st-1"}, "global", []string{"event_name", "channel_name", "stream_id"}},
		{"segment lost", event.RecordingStateChange{RecordingStatus: event.RecordingSegmentLost, ChannelName: "ann", StreamID: "st-1", RecordingS3KeyPrefix: "recordings/ann/st-1/source", RecordingDurationMS: 5}, "user-ann", []string{"recording_status", "channel_name", "stream_id", "recording_duration_ms"}},
		{"views", event.ViewCountUpdated{StreamID: "st-1", ChannelName: "ann", ViewCount: 3}, "global", []string{"stream_id", "channel_name", "view_count"}},
		{"valid lifecycle", event.LifeCycleComplete{Lifecycle: passed}, "global", videoFields},
		{"invalid lifecycle", event.LifeCycleComplete{Lifecycle: lifecycle("invalid")}, "user-ann", append(videoFields, "reason")},
		{"valid video", event.VideoStatusUpdated{Lifecycle: passed, Status: "valid", Title: "T", Tags: []string{"a"}}, "global", append(videoFields, "title", "tags")},
		{"hidden video's lifecycle", event.LifeCycleComplete{Lifecycle: hidden}, "user-ann", videoFields},
		{"hidden video", event.VideoStatusUpdated{Lifecycle: hidden, Status: "valid", Title: "T"}, "user-ann", append(videoFields, "title")},
		{"unsure lifecycle", event.LifeCycleComplete{Lifecycle: unsure}, "user-ann", videoFields},
		{"unsure video", event.VideoStatusUpdated{Lifecycle: unsure, Status: "valid"}, "user-ann", videoFields},
		{"failed video", event.VideoStatusUpdated{Lifecycle: lifecycle("failed"), Status: "failed"}, "user-ann", append(videoFields, "reason")},
		{"MP4 started", event.MP4ProcessingStarted{ChannelName: "ann", ID: "st-1"}, "user-ann", []string{"id", "channel_name"}},
		{"MP4 made", event.MP4ProcessingComplete{ChannelName: "ann", ID: "st-1", Compute: "local", PlaybackURL: "p", StreamURL: "s", Thumbnail: "t", Width: 1, Height: 1, DurationMillis: 1, Notes: []string{"n"}}, "user-ann", []string{"id", "channel_name", "playback_url", "stream_url", "thumbnail", "durationmillis", "height", "width"}},
		{"MP4 failed", event.MP4ProcessingFailed{ChannelName: "ann", ID: "st-1", Reason: "r"}, "user-ann", []string{"id", "channel_name", "reason"}},
		{"recording ready", event.RecordingReadyEvent{RecordingStatus: "Recording Ready", RecordingS3KeyPrefix: "x", StreamURL: "s", PlaybackURL: "p", Thumbnail: "t", ChannelName: "ann", ID: "st-1", CreatedAt: "c", DurationMillis: 1, Author: "quick-fox", Height: 1, Width: 1}, "user-ann", []string{"id", "channel_name", "playback_url", "stream_url", "thumbnail", "createdAt", "durationmillis", "height", "width", "author"}},
		{"deleted", event.VideoDeleted{ChannelName: "ann", ID: "st-1"}, "user-ann", []string{"id", "channel_name"}},
		{"lifecycle began", event.LifeCycleStarted{ID: "st-1", ChannelName: "ann", PlaybackURL: "x"}, "user-ann", []string{"id", "channel_name"}},
		{"key", event.StreamKeyRotated{ChannelName: "ann"}, "user-ann", []string{"channel_name"}},
		{"invocation", event.PluginInvocation{Hook: "preValidate", Plugin: "x", TaskToken: "secret", Video: event.PluginVideo{ID: "st-1", Channel: "ann"}}, "", nil},
		{"answer", event.PluginComplete{Plugin: "x", TaskToken: "secret", Message: json.RawMessage(`{}`)}, "", nil},
		{"plugin failed", event.PluginFailed{ID: "st-1", ChannelName: "ann", Message: "secret", Plugin: "x", Hook: "preValidate"}, "", nil},
		{"simulated recording", event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{RecordingStatus: event.RecordingEnd, ChannelName: "ann", StreamID: "sim-1-1"}}, "", nil},
		{"simulated MP4", event.MP4ProcessingComplete{ChannelName: "ann", ID: "sim-1-1"}, "", nil},
		{"simulated video", event.VideoStatusUpdated{Lifecycle: event.Lifecycle{ID: "sim-1-1", ChannelName: "ann"}, Status: "valid"}, "", nil},
		{"failed simulation", event.VideoStatusUpdated{Lifecycle: event.Lifecycle{ID: "sim-1-1", ChannelName: "ann"}, Status: "failed"}, "", nil},
		{"new user", event.BroadcastUserCreated{Sub: "ann", Email: "ann@example.com", Username: "quick-fox"}, "", nil},
	}
	r := start(t, nil)
	r.videos.hide("st-hidden", nil)
	r.videos.hide("st-unsure", errors.New("the database does not answer"))
	ann := subscribe(t, connect(t, r.options("cookie-of-ann")), global, "serverlessVideo-user-ann", "serverlessVideo-ann")
	bob := subscribe(t, connect(t, r.options("cookie-of-bob")), global, "serverlessVideo-user-bob")
	annSSE, _ := listen(t, r.get(t, "serverlessVideo-global,serverlessVideo-user-ann", "cookie-of-ann"))
	nobodySSE, _ := listen(t, r.get(t, global, ""))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := event.New(tt.say)
			for range 2 { // published twice, told once
				if err := r.bus.Relay(context.Background(), e); err != nil {
					t.Fatal(err)
				}
			}
			// Whoever is told nothing of it is told of the next.
			r.say(t, event.ViewCountUpdated{StreamID: "marker"})
			isMarker := func(m received) bool { return m.Body["stream_id"] == "marker" }
			for who, got := range map[string]<-chan received{"ann": ann, "ann by SSE": annSSE, "bob": bob, "nobody": nobodySSE} {
				m := next(t, got)
				told := tt.topic == "global" || tt.topic == "user-ann" && strings.HasPrefix(who, "ann")
				if !told {
					if !isMarker(m) {
						t.Errorf("%s was told %+v", who, m)
					}
					continue
				}
				var fields []string
				for f := range m.Body {
					fields = append(fields, f)
				}
				want := slices.Sorted(slices.Values(tt.fields))
				slices.Sort(fields)
				if m.topic != "serverlessVideo-"+tt.topic || m.Type != tt.say.EventType() || !slices.Equal(fields, want) {
					t.Errorf("%s was told %s %s %v\nwant %s %v", who, m.topic, m.Type, fields, tt.topic, want)
				}
				if m := next(t, got); !isMarker(m) {
					t.Errorf("%s was told again: %+v", who, m)
				}
			}
		})
	}
}

func TestReactions(t *testing.T) {
	r := start(t, nil)
	got := subscribe(t, connect(t, r.options("")), "serverlessVideo-ann")
	sse, _ := listen(t, r.get(t, "serverlessVideo-ann", ""))
	for _, text := range []string{
		`no JSON`, `{"type":"Forged","detail":{}}`,
		`{"type":"StreamMetadataSent","detail":{"x":0.25,"y":0.5,"type":"heart","userId":"bob","email":"bob@example.com"}}`,
	} {
		if err := r.bus.PublishLive("rt.reaction.ann", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []<-chan received{got, sse} {
		m := next(t, from)
		if m.Type != "StreamMetadataSent" || m.topic != "serverlessVideo-ann" || fmt.Sprint(m.Body) != "map[type:heart userId:bob x:0.25 y:0.5]" {
			t.Errorf("got %+v", m)
		}
		nothing(t, from)
	}
}

// TestProgress: how far a video is goes to its owner alone, field by field.
func TestProgress(t *testing.T) {
	r := start(t, nil)
	ann := subscribe(t, connect(t, r.options("cookie-of-ann")), "serverlessVideo-user-ann")
	bob := subscribe(t, connect(t, r.options("cookie-of-bob")), "serverlessVideo-user-bob")
	everybody := subscribe(t, connect(t, r.options("")), global)
	for _, text := range []string{
		`no JSON`, `{"type":"Forged","detail":{}}`,
		`{"type":"MP4ProcessingProgress","detail":{"id":"sim-1-1","channel_name":"ann","step":"mp4","percent":9}}`,
		`{"type":"MP4ProcessingProgress","detail":{"id":"st-1","channel_name":"ann","step":"mp4","percent":7,"path":"/secret"}}`,
	} {
		if err := r.bus.PublishLive("rt.processing.ann", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m := next(t, ann)
	if m.Type != "MP4ProcessingProgress" || fmt.Sprint(m.Body) != "map[channel_name:ann id:st-1 percent:7 step:mp4]" {
		t.Errorf("got %+v", m)
	}
	nothing(t, ann)
	nothing(t, bob)
	nothing(t, everybody)
}

func TestSubscriptionsRefused(t *testing.T) {
	r := start(t, nil)
	for _, topic := range []string{"serverlessVideo-user-ann", "#", "+", "serverlessVideo-+", "serverlessVideo-user-#", "$SYS/#", "$SYS/broker/version", "$share/g/serverlessVideo-global", "other", "serverlessVideo-", "serverlessVideo-a/b"} {
		for _, cookie := range []string{"", "cookie-of-bob", "no-such-cookie"} {
			c := connect(t, r.options(cookie))
			token := c.SubscribeMultiple(map[string]byte{topic: 0}, nil).(*paho.SubscribeToken)
			if err := wait(token); err == nil && token.Result()[topic] != 0x80 {
				t.Errorf("%q with %q: granted %v", topic, cookie, token.Result())
			}
		}
	}
}

func TestQoS0IsGranted(t *testing.T) {
	r := start(t, nil)
	c := connect(t, r.options("").SetCleanSession(false).SetClientID("someone"))
	token := c.SubscribeMultiple(map[string]byte{global: 2}, nil).(*paho.SubscribeToken)
	if err := wait(token); err != nil || token.Result()[global] != 0 {
		t.Errorf("granted %v, %v", token.Result(), err)
	}
	// Nobody takes a session over: the first goes on when another comes under
	// its id.
	connect(t, r.options("").SetClientID("someone"))
	if eventually(t, "both are there", func() bool { return r.Pages() == 2 }); !c.IsConnected() {
		t.Error("the first was cut")
	}
}

// lost connects a client and returns a channel that closes when it is cut.
func lost(t *testing.T, o *paho.ClientOptions) (paho.Client, <-chan struct{}) {
	gone := make(chan struct{})
	var once sync.Once
	o.SetConnectionLostHandler(func(paho.Client, error) { once.Do(func() { close(gone) }) })
	return connect(t, o), gone
}

func cut(t *testing.T, gone <-chan struct{}) {
	t.Helper()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("it is not cut")
	}
}

func TestNobodyPublishesFromOutside(t *testing.T) {
	r := start(t, nil)
	other := subscribe(t, connect(t, r.options("")), global, "serverlessVideo-ann")
	for _, qos := range []byte{0, 1, 2} {
		for _, topic := range []string{global, "serverlessVideo-ann", "anything"} {
			c, gone := lost(t, r.options("cookie-of-ann"))
			c.Publish(topic, qos, true, `{"type":"x"}`)
			cut(t, gone)
		}
	}
	will := r.options("cookie-of-ann").SetWill(global, "x", 0, false)
	if err := wait(paho.NewClient(will).Connect()); err == nil {
		t.Error("a will was accepted")
	}
	nothing(t, other)
}

func TestTooManySubscriptions(t *testing.T) {
	r := start(t, func(c *publisher.Config) { c.MaxTopics = 3 })
	c, gone := lost(t, r.options(""))
	got := subscribe(t, c, global, "serverlessVideo-a", "serverlessVideo-b", global, "serverlessVideo-b")
	r.say(t, event.ViewCountUpdated{StreamID: "s"})
	next(t, got)
	c.Subscribe("serverlessVideo-c", 0, nil)
	cut(t, gone)
	if res := r.get(t, "serverlessVideo-a,serverlessVideo-b,serverlessVideo-c,serverlessVideo-d", ""); res.StatusCode != 400 {
		t.Errorf("SSE: %s", res.Status)
	}
}

func TestEventsRefused(t *testing.T) {
	r := start(t, nil)
	tests := []struct {
		name, topics, cookie string
		header               []string
		status               int
	}{
		{"no topic", "", "", nil, 400},
		{"no such topic", "other", "", nil, 400},
		{"wildcard", "serverlessVideo-%2B", "", nil, 400},
		{"line feed", "serverlessVideo-a%0Adata:x", "", nil, 400},
		{"private, signed out", "serverlessVideo-user-ann", "", nil, 403},
		{"private, another", "serverlessVideo-global,serverlessVideo-user-ann", "cookie-of-bob", nil, 403},
		{"foreign site", global, "cookie-of-ann", []string{"Origin", "https://evil.example"}, 403},
		{"no site", global, "", []string{"Origin", "null"}, 403},
		{"like ours", global, "", []string{"Origin", "https://video.example.com.evil.example"}, 403},
		{"public URL", global, "", []string{"Origin", "https://video.example.com"}, 200},
		{"same host", global, "", []string{"Origin", r.server.URL}, 200},
		{"own", "serverlessVideo-user-ann", "cookie-of-ann", nil, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if res := r.get(t, tt.topics, tt.cookie, tt.header...); res.StatusCode != tt.status {
				t.Errorf("%s, want %d", res.Status, tt.status)
			}
			_, res, err := dialWS(r, []string{"mqtt"}, tt.header...)
			want := http.StatusSwitchingProtocols
			if tt.header != nil && tt.status == 403 {
				want = 403
			}
			if res == nil || res.StatusCode != want {
				t.Errorf("MQTT: %+v, %v; want %d", res, err, want)
			}
		})
	}
}

func dialWS(r *rig, protocols []string, header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ws, res, err := websocket.Dial(context.Background(), r.wsURL(), &websocket.DialOptions{Subprotocols: protocols, HTTPHeader: h, HTTPClient: &http.Client{Transport: transport}})
	return ws, res, err
}

// raw is a WebSocket on which the test says what it likes.
func raw(t *testing.T, r *rig, protocols ...string) net.Conn {
	t.Helper()
	ws, _, err := dialWS(r, protocols)
	if err != nil {
		t.Fatal(err)
	}
	conn := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	t.Cleanup(func() { _ = ws.CloseNow(); _ = conn.Close() })
	return conn
}

func ends(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second))
	began := time.Now()
	buf := make([]byte, 1024)
	for {
		if _, err := conn.Read(buf); err != nil {
			if time.Since(began) > 7*time.Second {
				t.Error("the connection is still open")
			}
			return
		}
	}
}

func encode(t *testing.T, p packets.ControlPacket) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func connectPacket(change func(*packets.ConnectPacket)) *packets.ConnectPacket {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.Keepalive, p.ClientIdentifier = "MQTT", 4, true, 30, "x"
	if change != nil {
		change(p)
	}
	return p
}

func TestConnectionsThatMisbehaveEnd(t *testing.T) {
	r := start(t, func(c *publisher.Config) {
		c.ConnectDeadline, c.MaxKeepAlive = 300*time.Millisecond, time.Second
	})
	good := encode(t, connectPacket(nil))
	long := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	long.MessageID, long.Topics, long.Qoss = 1, []string{strings.Repeat("x", 9000)}, []byte{0}
	tests := map[string][]byte{
		"says nothing":         nil,
		"half a CONNECT":       good[:5],
		"no CONNECT":           {0xc0, 0},
		"not MQTT":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"huge CONNECT":         {0x10, 0xff, 0xff, 0xff, 0x7f},
		"MQTT 3.1":             encode(t, connectPacket(func(p *packets.ConnectPacket) { p.ProtocolName, p.ProtocolVersion = "MQIsdp", 3 })),
		"falls silent":         good,
		"no keep-alive":        encode(t, connectPacket(func(p *packets.ConnectPacket) { p.Keepalive = 0 })),
		"endless keep-alive":   encode(t, connectPacket(func(p *packets.ConnectPacket) { p.Keepalive = 65535 })),
		"connects twice":       append(slices.Clone(good), good...),
		"too large a packet":   append(slices.Clone(good), encode(t, long)...),
		"acknowledges a ghost": append(slices.Clone(good), 0x40, 2, 0, 1),
	}
	for name, say := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := raw(t, r, "mqtt")
			if _, err := conn.Write(say); err != nil {
				return // it was ended before all was said
			}
			ends(t, conn)
		})
	}
	t.Run("not the subprotocol", func(t *testing.T) {
		t.Parallel()
		ends(t, raw(t, r, "other"))
	})
	t.Run("no WebSocket", func(t *testing.T) {
		t.Parallel()
		res, err := http.Get(r.server.URL + "/mqtt")
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("%s", res.Status)
		}
	})
}

func TestKeepAliveKeepsAlive(t *testing.T) {
	r := start(t, func(c *publisher.Config) { c.MaxKeepAlive = time.Second })
	conn := raw(t, r, "mqtt")
	if _, err := conn.Write(encode(t, connectPacket(nil))); err != nil {
		t.Fatal(err)
	}
	for range 6 { // 3 s, twice what it may be silent for
		time.Sleep(500 * time.Millisecond)
		if _, err := conn.Write([]byte{0xc0, 0}); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Pages(); n != 1 {
		t.Errorf("%d pages", n)
	}
}

// A page that does not read is cut; the others are served all the while.
func TestSlowReadersAreCut(t *testing.T) {
	r := start(t, func(c *publisher.Config) { c.MaxQueue, c.WriteDeadline = 16, 500*time.Millisecond })
	fast := subscribe(t, connect(t, r.options("")), global)

	slowMQTT := raw(t, r, "mqtt")
	sub := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	sub.MessageID, sub.Topics, sub.Qoss = 1, []string{global}, []byte{0}
	if _, err := slowMQTT.Write(append(encode(t, connectPacket(nil)), encode(t, sub)...)); err != nil {
		t.Fatal(err)
	}
	slowSSE, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slowSSE.Close() }()
	fmt.Fprintf(slowSSE, "GET /events?topics=%s HTTP/1.1\r\nHost: x\r\n\r\n", global)
	eventually(t, "all are there", func() bool { return r.Pages() == 3 })
	time.Sleep(100 * time.Millisecond) // the subscription is made

	// Large messages fill the sockets' buffers.
	tags := []string{strings.Repeat("x", 200<<10)}
	passed := lifecycle("")
	for i := 0; r.Pages() > 1 && i < 200; i++ {
		r.say(t, event.VideoStatusUpdated{Lifecycle: passed, Status: "valid", Tags: tags})
		next(t, fast)
	}
	eventually(t, "the slow ones are cut", func() bool { return r.Pages() == 1 })
	r.say(t, event.ViewCountUpdated{StreamID: "s"})
	next(t, fast)
}

func TestLimitsOfPages(t *testing.T) {
	r := start(t, func(c *publisher.Config) { c.MaxPerAddress = 2 })
	first := r.get(t, global, "")
	_, gone := lost(t, r.options(""))
	if res := r.get(t, global, ""); res.StatusCode != 429 {
		t.Errorf("a third: %s", res.Status)
	}
	if _, res, _ := dialWS(r, []string{"mqtt"}); res == nil || res.StatusCode != 429 {
		t.Errorf("a third by MQTT: %v", res)
	}
	_ = first.Body.Close()
	eventually(t, "the first is gone", func() bool { return r.Pages() == 1 })
	if res := r.get(t, global, ""); res.StatusCode != 200 {
		t.Errorf("after one left: %s", res.Status)
	}
	r.Close()
	cut(t, gone)

	r = start(t, func(c *publisher.Config) { c.MaxPages = 1 })
	r.get(t, global, "")
	if res := r.get(t, global, ""); res.StatusCode != 503 {
		t.Errorf("over the total: %s", res.Status)
	}
}

func TestSessionsThatEndLoseTheirTopic(t *testing.T) {
	r := start(t, func(c *publisher.Config) { c.SessionCheck = 20 * time.Millisecond })
	mine := "serverlessVideo-user-ann"
	mqtt := subscribe(t, connect(t, r.options("cookie-of-ann")), global, mine)
	sse, _ := listen(t, r.get(t, global+","+mine, "cookie-of-ann"))
	all := []<-chan received{mqtt, sse}
	say := func() {
		r.say(t, event.VideoDeleted{ChannelName: "ann", ID: "v"}, event.ViewCountUpdated{StreamID: "marker"})
	}
	say()
	for _, got := range all {
		if m := next(t, got); m.Type != "VideoDeleted" {
			t.Errorf("before: %+v", m)
		}
		next(t, got)
	}
	r.sessions.set("cookie-of-ann", "")
	time.Sleep(200 * time.Millisecond)
	say()
	for _, got := range all {
		if m := next(t, got); m.Type != "ViewCountUpdated" {
			t.Errorf("after the session: %+v", m)
		}
	}
}

func TestSuspendedUsersLoseTheirTopicAtOnce(t *testing.T) {
	r := start(t, nil)
	mine := "serverlessVideo-user-ann"
	client, gone := lost(t, r.options("cookie-of-ann"))
	got := subscribe(t, client, global, mine)
	r.say(t, event.UserSuspended{Sub: "bob"}, event.VideoDeleted{ChannelName: "ann", ID: "v"})
	if m := next(t, got); m.Type != "VideoDeleted" {
		t.Errorf("somebody else is suspended: %+v", m)
	}
	r.say(t, event.UserSuspended{Sub: "ann"}, event.VideoDeleted{ChannelName: "ann", ID: "v"})
	cut(t, gone) // the page comes back as nobody's
	nothing(t, got)
}

func TestHeartbeat(t *testing.T) {
	r := start(t, func(c *publisher.Config) { c.Heartbeat = 20 * time.Millisecond })
	_, comments := listen(t, r.get(t, global, ""))
	for range 3 {
		if s := <-comments; !strings.HasPrefix(s, ": ") {
			t.Errorf("got %q", s)
		}
	}
}

// An HTTP server that stops is not held up by pages, and they end cleanly.
func TestCloseEndsPages(t *testing.T) {
	r := start(t, nil)
	events, _ := listen(t, r.get(t, global, ""))
	_, gone := lost(t, r.options(""))
	r.Close()
	if m, open := <-events; open {
		t.Errorf("got %+v", m)
	}
	cut(t, gone)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.server.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server waits: %v", err)
	}
	r.Close()
}

// Over HTTP/2 many streams share one connection: one that is over, or is cut,
// takes no other with it.
func TestEventsOverHTTP2(t *testing.T) {
	r := start(t, func(c *publisher.Config) { c.WriteDeadline = 200 * time.Millisecond })
	server := httptest.NewUnstartedServer(r.server.Config.Handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	open := func() (*http.Response, context.CancelFunc) {
		ctx, cancel := context.WithCancel(context.Background())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events?topics="+global, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.ProtoMajor != 2 {
			t.Fatalf("it is %s", res.Proto)
		}
		return res, cancel
	}
	first, end := open()
	defer func() { _ = first.Body.Close() }()
	second, endSecond := open()
	defer endSecond()
	defer func() { _ = second.Body.Close() }()
	listen(t, first)
	got, _ := listen(t, second)
	end()
	eventually(t, "the first is gone", func() bool { return r.Pages() == 1 })
	time.Sleep(300 * time.Millisecond) // longer than the deadline of the last write
	r.say(t, event.ViewCountUpdated{StreamID: "s"})
	next(t, got)
	r.Close()
	if m, open := <-got; open {
		t.Errorf("got %+v", m)
	}
}

func TestManyPages(t *testing.T) {
	const each = 250
	r := start(t, nil)
	var all []<-chan received
	var mu sync.Mutex
	var wg sync.WaitGroup
	limit := make(chan struct{}, 20)
	for range each {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			a := subscribe(t, connect(t, r.options("")), global)
			b, _ := listen(t, r.get(t, global, ""))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, a, b)
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if n := r.Pages(); n != 2*each {
		t.Fatalf("%d pages", n)
	}
	for i := range 3 {
		r.say(t, event.ViewCountUpdated{StreamID: fmt.Sprint(i)})
	}
	for _, got := range all {
		for i := range 3 {
			if m := next(t, got); m.Body["stream_id"] != fmt.Sprint(i) {
				t.Fatalf("message %d is %+v", i, m)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := publisher.New(publisher.Config{}); err == nil {
		t.Error("nothing is needed?")
	}
}
