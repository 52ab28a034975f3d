package streaming_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

var wholeStory = []string{event.StreamStart, event.RecordingStart, event.StreamEnd, event.RecordingEnd}

// TestKilled kills a node with -9 in mid-broadcast. The next start ends the
// recording at its last stored segment.
func TestKilled(t *testing.T) {
	t.Parallel()
	m := material(t)
	dir := t.TempDir()
	url, kill := startChild(t, dir)
	p, err := streamtest.Publish(context.Background(), url+"/whip/"+channel, key, streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	eventually(t, "4 s of media", func() bool { return p.Sent() > 4*time.Second })
	kill()
	n := startNode(t, dir, streaming.Config{})
	events := n.outbox()
	var d event.RecordingStateChange
	if err := events[len(events)-1].Decode(&d); err != nil {
		t.Fatal(err)
	}
	if said := n.said(d.StreamID); !slices.Equal(said, wholeStory) {
		t.Fatalf("said was %v", said)
	}
	if d.RecordingDurationMS < 2500 || d.RecordingDurationMS > 5000 {
		t.Errorf("the recording has %d ms", d.RecordingDurationMS)
	}
	n.checkVOD(d.StreamID, time.Duration(d.RecordingDurationMS)*time.Millisecond)

	// A second start says nothing again.
	n.stop()
	again := startNode(t, dir, streaming.Config{})
	if said := again.said(d.StreamID); !slices.Equal(said, wholeStory) {
		t.Errorf("said after another start was %v", said)
	}
}

// startChild starts a node in another process, to be killed.
func startChild(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may be dead already
		_ = cmd.Wait()         // killed
	})
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the child does not start")
	}
	return lines.Text(), kill
}

// TestKilledWhileStoring kills a node with -9 whose object store was down when a
// broadcast ended. The next start says nothing of the recording before the store
// is back, and then its right length.
func TestKilledWhileStoring(t *testing.T) {
	t.Parallel()
	m := material(t)
	dir := t.TempDir()
	recordings := filepath.Join(dir, "objects", "recordings")
	url, kill := startChild(t, dir)
	if err := os.WriteFile(recordings, nil, 0o600); err != nil { // nothing can be stored below it
		t.Fatal(err)
	}
	p, err := streamtest.Publish(context.Background(), url+"/whip/"+channel, key, streamtest.Options{Clips: []*streamtest.Clip{m.small}, Duration: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if err := p.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	child := &node{t: t, url: url}
	master := string(child.mustGet("/live/" + channel + "/master.m3u8"))
	id := master[strings.Index(master, "st-"):]
	id = id[:strings.IndexByte(id, '/')]
	var media *hlstest.Media
	eventually(t, "the end of the broadcast", func() bool {
		if media, err = hlstest.ParseMedia(child.mustGet("/live/" + channel + "/" + id + "/source/media.m3u8")); err != nil {
			t.Fatal(err)
		}
		return media.Ended
	})
	var length time.Duration
	for _, s := range media.Segments {
		length += s.Duration
	}
	eventually(t, "all is on disk", func() bool {
		waiting, err := filepath.Glob(filepath.Join(dir, "spill", "recordings~*~source~[0-9]*"))
		return err == nil && len(waiting) == len(media.Segments)
	})
	kill()

	n := startNode(t, dir, streaming.Config{SpillDir: filepath.Join(dir, "spill")})
	if said := n.said(id); !slices.Equal(said, []string{event.StreamStart, event.StreamEnd}) {
		t.Fatalf("said was %v", said)
	}
	if err := os.Remove(recordings); err != nil {
		t.Fatal(err)
	}
	n.waitEnded(id)
	if said := n.said(id); !slices.Equal(said, []string{event.StreamStart, event.StreamEnd, event.RecordingStart, event.RecordingEnd}) {
		t.Errorf("said was %v", said)
	}
	if diff := n.recorded() - length; diff < -10*time.Millisecond || diff > 10*time.Millisecond {
		t.Errorf("the recording lasts %s, the broadcast %s", n.recorded(), length)
	}
	n.checkVOD(id, length)
}

// checkVOD plays a recording and checks its length.
func (n *node) checkVOD(id string, want time.Duration) {
	n.t.Helper()
	if err := hlstest.CheckMultivariant(n.mustGet("/vod/" + id + "/master.m3u8")); err != nil {
		n.t.Error(err)
	}
	playlist := n.mustGet("/vod/" + id + "/source/media.m3u8")
	if err := hlstest.CheckMedia(playlist); err != nil {
		n.t.Errorf("%v\n%s", err, playlist)
	}
	n.decode("/vod/" + id + "/master.m3u8")
	length := run(n.t, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", n.url+"/vod/"+id+"/master.m3u8")
	got, err := time.ParseDuration(strings.TrimSpace(length) + "s")
	if err != nil {
		n.t.Fatal(err)
	}
	if diff := got - want; diff > 250*time.Millisecond || diff < -250*time.Millisecond {
		n.t.Errorf("the recording lasts %s, not %s", got, want)
	}
}

// TestShutdown stops a node in mid-broadcast: nothing is lost.
func TestShutdown(t *testing.T) {
	t.Parallel()
	m := material(t)
	dir := t.TempDir()
	n := startNode(t, dir, streaming.Config{})
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	id := n.liveID()
	n.waitMedia(id, 2*time.Second)
	n.stop()
	sent := p.Sent()
	n = startNode(t, dir, streaming.Config{})
	if said := n.said(id); !slices.Equal(said, wholeStory) {
		t.Fatalf("said was %v", said)
	}
	d := n.recorded()
	if d < 2*time.Second || d > sent+250*time.Millisecond {
		t.Errorf("the recording lasts %s, sent were %s", d, sent)
	}
	n.checkVOD(id, d)
}

// waitMedia waits until a live stream has that much media.
func (n *node) waitMedia(id string, length time.Duration) {
	n.t.Helper()
	eventually(n.t, "some media", func() bool {
		playlist, err := hlstest.ParseMedia(n.mustGet("/live/" + channel + "/" + id + "/source/media.m3u8"))
		if err != nil {
			n.t.Fatal(err)
		}
		var listed time.Duration
		for _, s := range playlist.Segments {
			if s.URI != "" {
				listed += s.Duration
				continue
			}
			for _, p := range s.Parts {
				listed += p.Duration
			}
		}
		return listed >= length
	})
}

// recorded returns the length that the last event says of a recording.
func (n *node) recorded() time.Duration {
	n.t.Helper()
	events := n.outbox()
	var d event.RecordingStateChange
	if err := events[len(events)-1].Decode(&d); err != nil {
		n.t.Fatal(err)
	}
	return time.Duration(d.RecordingDurationMS) * time.Millisecond
}

// TestVanish takes the publisher's network away without a word.
func TestVanish(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{NoMediaTimeout: 1500 * time.Millisecond})
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	id := n.liveID()
	n.waitMedia(id, 2*time.Second)
	if err := p.Vanish(); err != nil {
		t.Fatal(err)
	}
	sent := p.Sent()
	n.waitEnded(id)
	if said := n.said(id); !slices.Equal(said, wholeStory) {
		t.Fatalf("said was %v", said)
	}
	d := n.recorded()
	if d < 2*time.Second || d > sent+250*time.Millisecond {
		t.Errorf("the recording lasts %s, sent were %s", d, sent)
	}
	n.checkVOD(id, d)
}

// TestNothingSent ends a broadcast whose publisher connects and sends nothing.
func TestNothingSent(t *testing.T) {
	t.Parallel()
	n := startNode(t, t.TempDir(), streaming.Config{NoMediaTimeout: time.Second})
	silent := &streamtest.Clip{Frames: [][]byte{{}}, Packets: [][]byte{{}}}
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{silent}, NoAudio: true, Duration: time.Nanosecond})
	id := n.liveID()
	n.waitEnded(id)
	if said := n.said(id); !slices.Equal(said, []string{event.StreamStart, event.StreamEnd}) {
		t.Errorf("said was %v", said)
	}
	if status, _, body := n.get("/vod/" + id + "/master.m3u8"); status != 404 {
		t.Errorf("its recording: %d %s", status, body)
	}
	_ = p
}

// TestTooMuch ends a publisher over the bitrate limit.
func TestTooMuch(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{MaxBitrate: 200_000})
	n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.large}})
	id := n.liveID()
	n.waitEnded(id)
}

// TestResolutionChange changes the picture's size in mid-stream: live, on
// demand and in the MP4.
func TestResolutionChange(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{})
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small, m.large}, Duration: 5 * time.Second})
	id := n.liveID()
	if err := p.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.stopPublisher(p)
	n.waitEnded(id)
	for _, path := range []string{"/live/" + channel + "/" + id, "/vod/" + id} {
		playlist := string(n.mustGet(path + "/source/media.m3u8"))
		if err := hlstest.CheckMedia([]byte(playlist)); err != nil {
			t.Errorf("%s: %v\n%s", path, err, playlist)
		}
		if n := strings.Count(playlist, "#EXT-X-MAP"); n != 2 {
			t.Errorf("%s has %d init segments\n%s", path, n, playlist)
		}
		if n := strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"); n != 1 {
			t.Errorf("%s has %d discontinuities\n%s", path, n, playlist)
		}
	}
	n.checkVOD(id, p.Sent())

	file := t.TempDir() + "/video.mp4"
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := n.service.Remux(context.Background(), recorder.Prefix(channel, id), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if info.Width != 640 || info.Height != 360 {
		t.Errorf("the MP4 says %dx%d", info.Width, info.Height)
	}
	if out := run(t, "ffmpeg", "-v", "error", "-i", file, "-f", "null", "-"); out != "" {
		t.Errorf("ffmpeg on the MP4: %s", out)
	}
	if diff := time.Duration(info.DurationMS)*time.Millisecond - p.Sent(); diff > 200*time.Millisecond || diff < -200*time.Millisecond {
		t.Errorf("the MP4 lasts %d ms, sent were %s", info.DurationMS, p.Sent())
	}
}
