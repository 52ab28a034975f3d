package live

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

// TestUnusableKeyFrame: a key frame that nobody knows how to decode is dropped
// with what follows it, and the next one is asked for.
func TestUnusableKeyFrame(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, r := newTestStream(false, now)
	send := func(i int, key bool, config *cmaf.VideoConfig) {
		now = now.Add(33 * time.Millisecond)
		s.Session.Video(frame.Video{
			Data: []byte{0, 0, 0, 2, 0x41, byte(i)}, Key: key, Config: config, Timestamp: uint32(i) * 3000, Arrival: now,
		})
	}
	send(0, true, avc(spsSmall))
	send(1, false, nil)
	send(2, true, nil)
	send(3, false, nil)
	if r.keys != 1 {
		t.Errorf("%d key frames were asked for", r.keys)
	}
	send(4, true, avc(spsSmall))
	s.End()
	var samples int
	for _, data := range r.data {
		fragments, err := cmaf.ReadSegment(newReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fragments {
			samples += len(f.Video.Samples)
		}
	}
	if samples != 3 {
		t.Errorf("%d pictures are in the stream, not 3", samples)
	}
}

// swallow is a sidecar that brings nothing.
type swallow struct{}

func (swallow) Video(frame.Video, int64) {}
func (swallow) Audio(frame.Audio, int64) {}
func (swallow) Break()                   {}
func (swallow) End()                     {}

// TestSoundWithoutPicture: sound does not pile up while a sidecar that the
// pictures go through brings none, and there is sound when it does.
func TestSoundWithoutPicture(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, _ := newTestStream(true, now)
	x := s.Attach(SessionConfig{Epoch: 8, Audio: testOpus, VideoVia: swallow{}, RequestKeyFrame: func() {}}, now)
	begin := now
	const length = 3 * time.Minute
	for at := time.Duration(0); at < length; at += 20 * time.Millisecond {
		now = begin.Add(at)
		x.Audio(frame.Audio{Data: []byte{0xfc, 1, 2}, Timestamp: uint32(at / 20_000_000 * 960), Arrival: now})
		f := frame.Video{Data: []byte{0, 0, 0, 1, 0x41}, Timestamp: uint32(at / 20_000_000 * 1800), Arrival: now}
		if at == 0 {
			f.Key, f.Config = true, avc(spsSmall)
		}
		x.Video(f)
		s.Tick(now)
	}
	if n := len(s.packager.sound.frames); n == 0 || n > (maxSoundQueue+1)*50 {
		t.Errorf("%d packets wait for a picture", n)
	}
	last := int64(length / time.Second * ticksPerSecond)
	for i := range int64(10) {
		f := frame.Video{Data: []byte{0, 0, 0, 1, 0x41}}
		if i == 0 {
			f.Key, f.Config = true, avc(spsSmall)
		}
		x.PutVideo(f, last+i*3000, now)
	}
	if end := s.packager.sound.end; end < s.packager.sound.place(last)-48000 {
		t.Errorf("the sound ends at %d, the picture at %d", end, s.packager.sound.place(last))
	}
}

// TestPark leaves the playlists open for the next process, and lets nobody wait
// for this one.
func TestPark(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 5*time.Second)
	l.get("master.m3u8")
	l.s.Park()
	for _, rung := range []string{"source", "480p", "aac"} {
		p := l.get(rung + "/media.m3u8")
		if strings.Contains(p, "ENDLIST") {
			t.Errorf("%s has ended:\n%s", rung, p)
		}
		if err := hlstest.CheckMedia([]byte(p)); err != nil {
			t.Errorf("%s: %v", rung, err)
		}
	}
	_, err := l.s.rung(Source).wait(context.Background(), func(*state) bool { return false })
	if errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("who waits is told %v", err)
	}
	if !e.ended {
		t.Error("a tap did not hear of the end")
	}
}

// TestRestoredHint: before its publisher is back, a restored stream names the
// part that will come first.
func TestRestoredHint(t *testing.T) {
	l, _ := newLadder(t)
	stored := Segment{Epoch: 3, MSN: 7, Init: 1, Start: l.now, Ticks: 180_000, Size: 1000}
	l.s.Restore([]Restored{{Rung: Source, Formats: formatsOf(spsSmall), Segments: []Segment{stored}}}, 4)
	p := l.get("source/media.m3u8")
	if !strings.Contains(p, `URI="4-8.0.mp4"`) {
		t.Error(p)
	}
	if _, coming := l.s.rung(Source).part(mediaName{epoch: 4, msn: 8}, muxed); !coming {
		t.Error("the part that is hinted at is not waited for")
	}
}

// TestDVRWithLostSegments: what the store has lost is a gap once it is not in
// memory any more either.
func TestDVRWithLostSegments(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 9*time.Second)
	before := l.get("source/dvr.m3u8")
	l.s.Lose(Source, 1, 1)
	if now := l.get("source/dvr.m3u8"); now != before {
		t.Errorf("it is a gap while it is in memory:\n%s", now)
	}
	for range 8 {
		l.publish(e, 1, 9*time.Second)
	}
	l.s.End()
	dvr := l.get("source/dvr.m3u8")
	if err := hlstest.CheckMedia([]byte(dvr)); err != nil {
		t.Error(err)
	}
	if strings.Count(dvr, "#EXT-X-GAP") != 1 || !strings.Contains(dvr, "1-0.mp4") {
		t.Error(dvr)
	}
	if n, all := strings.Count(dvr, "#EXTINF"), len(l.s.rung(Source).segments); n != all {
		t.Errorf("%d segments of %d", n, all)
	}
	if status, body := l.ask("source/1-0.mp4"); body != "stored source false" {
		t.Error(status, body)
	}
}

// TestManyReconnects: a playlist stays right while discontinuities leave it.
func TestManyReconnects(t *testing.T) {
	l, e := newLadder(t)
	rungs := []string{"source", "source-video", "480p", "aac"}
	before := map[string]string{}
	for range 16 {
		l.publish(e, 1, 5*time.Second).Detach(l.now)
		for _, rung := range rungs {
			now := l.get(rung + "/media.m3u8")
			if err := hlstest.CheckMedia([]byte(now)); err != nil {
				t.Fatalf("%s: %v\n%s", rung, err, now)
			}
			if old := before[rung]; old != "" {
				if err := hlstest.CheckReload([]byte(old), []byte(now)); err != nil {
					t.Fatalf("%s: %v\n%s\n%s", rung, err, old, now)
				}
			}
			before[rung] = now
		}
		l.now = l.now.Add(10 * time.Second)
		l.s.Tick(l.now)
	}
	for _, rung := range rungs {
		var sequence int
		_, rest, _ := strings.Cut(before[rung], "#EXT-X-DISCONTINUITY-SEQUENCE:")
		if _, err := fmt.Sscan(rest, &sequence); err != nil {
			t.Fatal(err)
		}
		if all := sequence + strings.Count(before[rung], "#EXT-X-DISCONTINUITY\n"); all != 15 || sequence == 0 {
			t.Errorf("%s tells of %d discontinuities, %d of them gone, not of 15", rung, all, sequence)
		}
	}
	video, audio := checkSamples(t, &recorded{data: l.kept["source"]})
	for name, d := range map[string]time.Duration{"video": video, "audio": audio} {
		if d < 79*time.Second || d > 81*time.Second {
			t.Errorf("the %s lasts %s, sent were 80 s", name, d)
		}
	}
	if _, aac := checkSamples(t, &recorded{data: l.kept["aac"]}); aac < 79*time.Second || aac > 81*time.Second {
		t.Errorf("the AAC lasts %s, sent were 80 s", aac)
	}
}

// TestSessionWithoutAudio: where one publisher brings no sound, there is silence.
func TestSessionWithoutAudio(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 5*time.Second).Detach(l.now)
	x := l.s.Attach(SessionConfig{Epoch: 1, RequestKeyFrame: func() {}}, l.now)
	begin := l.now
	for i := range 150 {
		l.now = begin.Add(time.Duration(i) * time.Second / 30)
		f := frame.Video{Data: []byte{0, 0, 0, 2, 0x41, 0}, Timestamp: uint32(i) * 3000, Arrival: l.now}
		if i%30 == 0 {
			f.Key, f.Config = true, avc(spsSmall)
		}
		x.Video(f)
		e.run()
		l.s.Tick(l.now)
	}
	x.Detach(l.now)
	l.publish(e, 1, 5*time.Second)
	l.s.End()
	for _, rung := range []string{"source", "480p", "aac"} {
		p := l.get(rung + "/media.m3u8")
		if err := hlstest.CheckMedia([]byte(p)); err != nil || strings.Contains(p, "GAP") {
			t.Errorf("%s: %v\n%s", rung, err, p)
		}
	}
	video, audio := checkSamples(t, &recorded{data: l.kept["source"]})
	for name, d := range map[string]time.Duration{"video": video, "audio": audio} {
		if d < 14700*time.Millisecond || d > 15300*time.Millisecond {
			t.Errorf("the %s lasts %s, sent were 15 s", name, d)
		}
	}
}

// TestReleasedParts: of segments whose bytes were let go early, because they are
// many, no parts are kept once the playlist does not name them.
func TestReleasedParts(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, _ := newTestStream(false, now)
	begin := now
	for i := range 30 * 60 {
		now = begin.Add(time.Duration(i) * time.Second / 30)
		f := frame.Video{Data: make([]byte, 100_000), Timestamp: uint32(i) * 3000, Arrival: now} // 24 Mbit/s
		if i%60 == 0 {
			f.Key, f.Config = true, avc(spsSmall)
		}
		s.Session.Video(f)
	}
	w := s.window
	if w.bytes > maxWindowBytes+w.segments[len(w.segments)-1].Size || w.held >= w.listed {
		t.Fatalf("%d bytes of %d segments are in memory, %d are listed", w.bytes, w.held, w.listed)
	}
	for _, seg := range w.segments[:len(w.segments)-w.listed] {
		if seg.parts != nil {
			t.Errorf("segment %d has %d parts", seg.MSN, len(seg.parts))
		}
	}
}

// TestRenderedOnce: however many ask, a playlist is rendered once for its state,
// and its delta update once.
func TestRenderedOnce(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 40*time.Second)
	before := l.s.Rendered()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for _, delta := range []bool{false, true} {
				l.s.rung(Source).state.playlist(muxed, delta)
			}
		})
	}
	all.Wait()
	if n := l.s.Rendered() - before; n != 2 {
		t.Errorf("%d renderings, not one full and one delta", n)
	}
	full, delta := l.get("source/media.m3u8"), l.get("source/media.m3u8?_HLS_skip=YES")
	if !strings.Contains(delta, "#EXT-X-SKIP") || strings.Contains(full, "#EXT-X-SKIP") || l.s.Rendered()-before != 2 {
		t.Errorf("%d renderings of\n%s\n%s", l.s.Rendered()-before, full, delta)
	}
}
