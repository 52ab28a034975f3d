package live

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

var (
	testOpus = &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2}
	testAAC  = &cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 48000, Channels: 2, ASC: []byte{0x11, 0x90}}
)

// ladder is a stream with a lower rung and an AAC rendition, and sidecars that
// answer at once.
type ladder struct {
	t     *testing.T
	s     *Stream
	now   time.Time
	kept  map[string][][]byte // segments by rung
	inits map[string][]string
	// silentVideo and silentAudio are sidecars that bring nothing.
	silentVideo, silentAudio bool
	frames                   int
	sps                      []byte // of what is published
	rungSize                 int    // bytes that the sidecar adds to a picture
	during                   func(passed time.Duration)
}

// echo is a sidecar: what it makes of a frame is the frame.
type echo struct {
	l     *ladder
	queue []func()
	ended bool
}

func (e *echo) Video(f frame.Video, at int64) {
	if e.l.silentVideo {
		return
	}
	f.Data = append(f.Data[:len(f.Data):len(f.Data)], make([]byte, e.l.rungSize)...)
	e.queue = append(e.queue, func() { e.l.s.RungVideo("480p", f, at, e.l.now) })
}

func (e *echo) Audio(_ frame.Audio, at int64) {
	if e.l.silentAudio {
		return
	}
	// Frames of 1024 samples are due as often as those of 960 allow.
	e.queue = append(e.queue, func() {
		for next := e.l.s.aac.queue.end; next+aacFrame <= at+960; next += aacFrame {
			e.l.s.MadeAudio(cmaf.AAC, frame.Audio{Data: []byte{1}}, next, e.l.now)
		}
	})
}

func (e *echo) Break() { e.queue = nil }
func (e *echo) End()   { e.ended = true }

func (e *echo) run() {
	for _, f := range e.queue {
		f()
	}
	e.queue = nil
}

func newLadder(t *testing.T, gone ...string) (*ladder, *echo) {
	l := &ladder{t: t, now: time.Unix(1_700_000_000, 0), kept: map[string][][]byte{}, inits: map[string][]string{}, sps: spsSmall}
	rungs := []string{"480p"}
	if len(gone) > 0 {
		rungs = nil
	}
	l.s = New(Config{
		ID: "st-1", Channel: "c", PartTarget: 220 * time.Millisecond, Audio: testOpus, Rungs: rungs, AAC: testAAC, Gone: gone,
		OnSegment: func(rung string, s *Segment) {
			l.kept[rung] = append(l.kept[rung], bytes.Join(s.Data(), nil))
		},
		OnInit: func(rung string, epoch int64, version int, _ []byte) {
			l.inits[rung] = append(l.inits[rung], initName(epoch, version))
		},
	})
	e := &echo{l: l}
	l.s.Tap(Source, cmaf.Opus, e)
	return l, e
}

// publish lets a publisher send for a while, 30 pictures a second.
func (l *ladder) publish(e *echo, epoch int64, length time.Duration) *Session {
	x := l.s.Attach(SessionConfig{Epoch: epoch, Audio: testOpus, RequestKeyFrame: func() {}}, l.now)
	begin := l.now
	for i := range int(length / (10 * time.Millisecond)) {
		l.now = begin.Add(time.Duration(i) * 10 * time.Millisecond)
		if l.during != nil {
			l.during(l.now.Sub(begin))
		}
		if i%2 == 0 {
			x.Audio(frame.Audio{Data: []byte{0xfc, 1, 2}, Timestamp: uint32(i) * 480, Arrival: l.now})
		}
		if i%10 == 0 || i%10 == 3 || i%10 == 7 {
			f := frame.Video{Data: []byte{0, 0, 0, 2, 0x41, byte(l.frames)}, Timestamp: uint32(i) * 900, Arrival: l.now}
			if i%100 == 0 {
				f.Key, f.Config, f.Data = true, avc(l.sps), []byte{0, 0, 0, 2, 0x65, byte(l.frames)}
			}
			l.frames++
			x.Video(f)
		}
		e.run()
		l.s.Tick(l.now)
	}
	return x
}

func (l *ladder) get(path string) string {
	l.t.Helper()
	status, body := l.ask(path)
	if status != http.StatusOK {
		l.t.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

func (l *ladder) ask(path string) (int, string) {
	o := Origin{
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusNotFound)
		},
		Stored: func(w http.ResponseWriter, _ *http.Request, _ *Stream, s Stored) {
			fmt.Fprintf(w, "stored %s %v", s.Rung, s.VideoOnly)
		},
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/"+path, nil)
	switch dir, name, found := strings.Cut(strings.Split(path, "?")[0], "/"); {
	case !found && dir == "master.m3u8":
		o.Master(w, r, l.s, strings.Contains(path, "audio=aac"))
	case !found:
		o.DVRMaster(w, r, l.s, false)
	default:
		o.Serve(w, r, l.s, dir, name)
	}
	return w.Code, w.Body.String()
}

// TestLadder checks that all renditions of a stream are cut at the same places.
func TestLadder(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 9*time.Second)
	master := l.get("master.m3u8")
	if err := hlstest.CheckMultivariant([]byte(master)); err != nil {
		t.Errorf("%v\n%s", err, master)
	}
	for _, want := range []string{"source/media", "480p/media", "source-video/media", "480p-video/media", "aac/media", "mp4a.40.2", "opus"} {
		if !strings.Contains(master, want) {
			t.Errorf("no %s in\n%s", want, master)
		}
	}
	if aac := l.get("master.m3u8?audio=aac"); strings.Contains(aac, "opus") || !strings.Contains(aac, "480p-video") {
		t.Error(aac)
	}
	source := l.get("source/media.m3u8")
	for _, rung := range []string{"480p", "source-video", "480p-video", "aac"} {
		playlist := l.get(rung + "/media.m3u8")
		if err := hlstest.CheckMedia([]byte(playlist)); err != nil {
			t.Errorf("%s: %v\n%s", rung, err, playlist)
		}
		// Audio is there a moment after the picture that is shown with it.
		if rest, ok := strings.CutPrefix(cutsOf(source), cutsOf(playlist)); !ok || strings.Count(rest, "\n") > 1 {
			t.Errorf("%s is cut at\n%s, the source at\n%s", rung, cutsOf(playlist), cutsOf(source))
		}
	}
	for _, rung := range []string{"source", "480p", "aac"} {
		if len(l.kept[rung]) != 4 {
			t.Errorf("%d segments of %s", len(l.kept[rung]), rung)
		}
	}
	l.checkViews()
	l.s.End()
	if !e.ended || !strings.Contains(l.get("aac/media.m3u8"), "ENDLIST") {
		t.Error("it is not over everywhere")
	}
}

// cutsOf is what the renditions' playlists have in common.
func cutsOf(playlist string) string {
	var out []string
	for line := range strings.Lines(playlist) {
		switch {
		case strings.HasPrefix(line, "#EXT-X-PART:"):
			out = append(out, strings.Replace(line, ",INDEPENDENT=YES", "", 1))
		case strings.HasPrefix(line, "#EXTINF"), strings.HasPrefix(line, "#EXT-X-DISC"), strings.HasPrefix(line, "#EXT-X-PROGRAM"):
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// checkViews reads both views of a segment: the same pictures at the same times.
func (l *ladder) checkViews() {
	l.t.Helper()
	for _, rung := range []string{"source", "480p"} {
		both, err := cmaf.ReadSegment(newReader([]byte(l.get(rung + "/1-2.mp4"))))
		if err != nil {
			l.t.Fatal(err)
		}
		alone, err := cmaf.ReadSegment(newReader([]byte(l.get(rung + "-video/1-2.mp4"))))
		if err != nil {
			l.t.Fatal(err)
		}
		if len(both) != len(alone) {
			l.t.Fatalf("%d fragments, %d without audio", len(both), len(alone))
		}
		for i := range both {
			if alone[i].Audio != nil || both[i].Audio == nil {
				l.t.Errorf("fragment %d has the wrong tracks", i)
			}
			if both[i].Video.BaseTime != alone[i].Video.BaseTime || both[i].Video.Duration() != alone[i].Video.Duration() {
				l.t.Errorf("fragment %d has other times without audio", i)
			}
		}
	}
	if init, err := cmaf.ParseInit([]byte(l.get("source-video/1-init-1.mp4"))); err != nil || init.Audio != nil || init.Video == nil {
		l.t.Error(init, err)
	}
}

// TestDeadSidecars: what they do not bring is a gap or silence at the right
// number, and what never began is not offered.
func TestDeadSidecars(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 5*time.Second)
	l.get("master.m3u8")
	l.silentVideo, l.silentAudio = true, true
	l.publish(e, 1, 5*time.Second)
	rung := l.get("480p/media.m3u8")
	if !strings.Contains(rung, "GAP=YES") || !strings.Contains(rung, "#EXT-X-GAP") {
		t.Error(rung)
	}
	if err := hlstest.CheckMedia([]byte(rung)); err != nil {
		t.Errorf("%v\n%s", err, rung)
	}
	l.s.End()
	if a, b := cutsOf(l.get("aac/media.m3u8")), cutsOf(l.get("source/media.m3u8")); a != b {
		t.Errorf("the audio is cut at\n%s, the source at\n%s", a, b)
	}

	l, e = newLadder(t)
	l.silentVideo, l.silentAudio = true, true
	l.publish(e, 1, 4*time.Second)
	l.s.sourceReady = time.Now().Add(-time.Minute)
	master := l.get("master.m3u8")
	if strings.Contains(master, "480p") || strings.Contains(master, "aac") {
		t.Error(master)
	}
}

// TestReconnect lets a publisher go and come back: one stream, one timeline, a
// discontinuity on every rendition.
func TestReconnect(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 5*time.Second).Detach(l.now)
	l.now = l.now.Add(20 * time.Second)
	l.s.Tick(l.now)
	if p := l.get("source/media.m3u8"); strings.Contains(p, "ENDLIST") {
		t.Error("the stream ended")
	}
	l.publish(e, 1, 5*time.Second)
	l.s.End()
	for _, rung := range []string{"source", "480p", "aac", "source-video"} {
		p := l.get(rung + "/media.m3u8")
		if strings.Count(p, "#EXT-X-DISCONTINUITY\n") != 1 {
			t.Errorf("%s has no discontinuity, or several:\n%s", rung, p)
		}
		if err := hlstest.CheckMedia([]byte(p)); err != nil {
			t.Errorf("%s: %v\n%s", rung, err, p)
		}
	}
	r := &recorded{data: l.kept["source"]}
	video, audio := checkSamples(t, r)
	for name, d := range map[string]time.Duration{"video": video, "audio": audio} {
		if d < 9700*time.Millisecond || d > 10300*time.Millisecond {
			t.Errorf("the %s lasts %s, sent were 10 s", name, d)
		}
	}
	dvr := l.get("source/dvr.m3u8")
	if err := hlstest.CheckMedia([]byte(dvr)); err != nil || !strings.Contains(dvr, "PLAYLIST-TYPE:EVENT") {
		t.Errorf("%v\n%s", err, dvr)
	}
	if m := l.get("dvr.m3u8"); !strings.Contains(m, "\nsource/dvr.m3u8\n") || !strings.Contains(m, `URI="aac/dvr.m3u8"`) {
		t.Error(m)
	}
}

// stored is what the object store has when the process ends.
func (l *ladder) stored() []Restored {
	var all []Restored
	for _, rung := range []string{Source, "480p", AAC} {
		r := Restored{Rung: rung, Formats: formatsOf(spsSmall)}
		for _, s := range l.s.rung(rung).segments {
			if s.complete {
				r.Segments = append(r.Segments, Segment{Epoch: s.Epoch, MSN: s.MSN, Init: s.Init, Start: s.Start, Ticks: s.Ticks, Size: s.Size})
			}
		}
		all = append(all, r)
	}
	return all
}

// TestRestore goes on with a stream that another process began.
func TestRestore(t *testing.T) {
	before, e := newLadder(t)
	before.publish(e, 3, 9*time.Second)
	l, e := newLadder(t)
	restored := before.stored()
	restored[1].Segments = slices.Delete(restored[1].Segments, 1, 2)
	l.s.Restore(restored, 4)
	l.now = before.now.Add(5 * time.Second)
	l.publish(e, 4, 5*time.Second)
	for _, rung := range []string{"source", "480p", "aac"} {
		p := l.get(rung + "/media.m3u8")
		if err := hlstest.CheckMedia([]byte(p)); err != nil {
			t.Errorf("%s: %v\n%s", rung, err, p)
		}
		for _, want := range []string{"3-0.mp4", "4-4.mp4", "4-init-2.mp4", "3-init-1.mp4"} {
			if !strings.Contains(p, want) {
				t.Errorf("%s has no %s:\n%s", rung, want, p)
			}
		}
		if gap := strings.Contains(p, "#EXT-X-GAP"); gap != (rung == "480p") {
			t.Errorf("%s has a gap: %t", rung, gap)
		}
	}
	if got := l.get("source-video/3-1.mp4"); got != "stored source true" {
		t.Error(got)
	}
	if got := l.get("aac/3-init-1.mp4"); got != "stored aac false" {
		t.Error(got)
	}
	if status, _ := l.ask("480p/3-1.mp4"); status != http.StatusNotFound {
		t.Errorf("a lost segment: %d", status)
	}
}
