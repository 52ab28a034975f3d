package postprocess_test

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// TestRecordingBecomesVideo is the whole path: a recording ends, and there are
// an MP4, a thumbnail and the events, each once.
func TestRecordingBecomesVideo(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, nil)
		n.start(t)
		stream := streamID()
		record(t, n.objects, "recordings/chan/"+stream)
		e := ended(stream)
		again := ended(stream) // the same fact under another id
		for _, e := range []event.Envelope{e, e, again} {
			n.mustHear(t, e)
		}
		n.await(t, stream, flow.Done)
		n.mustHear(t, e)

		if got, want := n.types(t), []string{"MP4ProcessingStarted", "MP4ProcessingComplete"}; !slices.Equal(got, want) {
			t.Fatalf("said %v, want %v", got, want)
		}
		mp4 := read(t, n.objects, "videos/"+stream+"/video.mp4")
		d := last[event.MP4ProcessingComplete](t, n)
		if d.DurationMillis < 3900 || d.DurationMillis > 4100 {
			t.Errorf("duration %d ms of 4 s", d.DurationMillis)
		}
		want := event.MP4ProcessingComplete{
			ChannelName: "chan", ID: stream, Compute: "local",
			StreamURL:   "https://tv.example/vod/" + stream + "/master.m3u8",
			PlaybackURL: "https://tv.example/vod/" + stream + "/video.mp4",
			Thumbnail:   "https://tv.example/vod/" + stream + "/thumbnail.jpg",
			Storyboard:  "https://tv.example/vod/" + stream + "/storyboard.vtt",
			Width:       1920, Height: 1080, DurationMillis: d.DurationMillis, Size: int64(len(mp4)),
			Codecs: []string{"avc1.42c028", "opus"},
		}
		if got := d; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		if state, _ := n.job(t, stream); state != "done" {
			t.Errorf("the job is %s", state)
		}
		checkMP4(t, mp4)
		picture, err := jpeg.DecodeConfig(bytes.NewReader(read(t, n.objects, "videos/"+stream+"/thumbnail.jpg")))
		if err != nil || picture.Width != 1280 || picture.Height != 720 {
			t.Errorf("thumbnail %dx%d, %v", picture.Width, picture.Height, err)
		}
		emptyWorkDir(t, p)
	})
}

// checkMP4 has ffmpeg play the file and looks for moov before mdat.
func checkMP4(t *testing.T, mp4 []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "video.mp4")
	if err := os.WriteFile(path, mp4, 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "ffmpeg", "-i", path, "-f", "null", "-")
	length, err := strconv.ParseFloat(tool(t, "ffprobe", "-show_entries", "format=duration", "-of", "csv=p=0", path), 64)
	if err != nil || length < 3.9 || length > 4.1 {
		t.Errorf("the MP4 lasts %v s, %v", length, err)
	}
	if moov, mdat := bytes.Index(mp4, []byte("moov")), bytes.Index(mp4, []byte("mdat")); moov < 0 || mdat < moov {
		t.Errorf("moov at %d, mdat at %d", moov, mdat)
	}
}

func emptyWorkDir(t *testing.T, p place) {
	t.Helper()
	left, err := os.ReadDir(p.workDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left in the work folder: %v, %v", left, err)
	}
}

// TestPicturesAreOptional: a video without its pictures is still a video, and its
// history says why.
func TestPicturesAreOptional(t *testing.T) {
	const calls = `echo x >> "$(dirname "$0")/calls"; `
	for name, tt := range map[string]struct {
		script, thumbnail, storyboard string
		tries                         int // of each picture
	}{
		"missing": {"", "ffmpeg is not installed on the server", "ffmpeg is not installed on the server", 0},
		"fails": {
			calls + "echo out of luck >&2; exit 1",
			"ffmpeg could not take a picture out of the video", "ffmpeg could not read the video", 3,
		},
		"hangs": {
			calls + "sleep 600 & wait",
			"ffmpeg made no progress for 100ms and was stopped", "ffmpeg made no progress for 100ms and was stopped", 3,
		},
		"stops in the middle": {
			calls + "head -c 100000 /dev/zero; exec sleep 600",
			"ffmpeg made no progress for 100ms and was stopped", "ffmpeg made no progress for 100ms and was stopped", 3,
		},
		"silent": {
			calls + "exit 0",
			"ffmpeg could not take a picture out of the video", "ffmpeg could not read the video", 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachPlace(t, func(t *testing.T, p place) {
				ffmpeg := filepath.Join(p.Dir, "ffmpeg")
				if tt.script != "" {
					script(t, ffmpeg, tt.script)
				}
				stall := 10 * time.Second
				if strings.Contains(tt.storyboard, "100ms") {
					stall = 100 * time.Millisecond
				}
				n := open(t, p, postprocess.Config{FFmpeg: ffmpeg, FFmpegStall: stall}, nil)
				n.start(t)
				stream := streamID()
				record(t, n.objects, "recordings/chan/"+stream)
				n.mustHear(t, ended(stream))
				n.await(t, stream, flow.Done)
				d := last[event.MP4ProcessingComplete](t, n)
				notes := []string{"No thumbnail: " + tt.thumbnail + ".", "No previews on the time line: " + tt.storyboard + "."}
				if d.Thumbnail != "" || d.Storyboard != "" || !slices.Equal(d.Notes, notes) {
					t.Errorf("thumbnail %q, storyboard %q, notes %q", d.Thumbnail, d.Storyboard, d.Notes)
				}
				called, _ := os.ReadFile(filepath.Join(p.Dir, "calls")) // none is no file
				// A thumbnail has five candidates; after one that hung the others are left.
				// (One that is ended may not have come to say that it was called.)
				least, most := tt.tries*6, tt.tries*6
				if strings.Contains(tt.thumbnail, "100ms") {
					least, most = 0, tt.tries*2
				}
				if got := bytes.Count(called, []byte("\n")); got < least || got > most {
					t.Errorf("ffmpeg was called %d times, want %d to %d", got, least, most)
				}
				emptyWorkDir(t, p)
			})
		})
	}
}

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// wrapped changes what the real remuxer does.
type wrapped func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error)

func (f wrapped) Remux(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
	return f(ctx, prefix, w, progress)
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fail   func(try int64) error
		tries  int64
		reason string // "": it succeeds
	}{
		{"for a while", func(try int64) error {
			if try < 3 {
				return errors.New("the object store is away")
			}
			return nil
		}, 3, ""},
		{"to the last retry", func(int64) error { return errors.New("disk /dev/x is on fire") }, 3,
			"The MP4 could not be made: the recording cannot be read."},
		{"for good", func(int64) error { return errs.New(errs.Invalid, "the recording holds no media") }, 1,
			"The MP4 could not be made: the recording holds no media."},
		{"by a bug", func(int64) error { panic("index out of range") }, 1,
			"The MP4 could not be made: something went wrong on the server."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachPlace(t, func(t *testing.T, p place) {
				var tries atomic.Int64
				n := open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
					return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
						if err := tt.fail(tries.Add(1)); err != nil {
							return postprocess.Media{}, err
						}
						return real.Remux(ctx, prefix, w, progress)
					})
				})
				n.start(t)
				stream := streamID()
				record(t, n.objects, "recordings/chan/"+stream)
				n.mustHear(t, ended(stream))
				n.await(t, stream, flow.Done)
				if tries.Load() != tt.tries {
					t.Errorf("%d tries, want %d", tries.Load(), tt.tries)
				}
				state, reason := n.job(t, stream)
				if tt.reason == "" {
					last[event.MP4ProcessingComplete](t, n)
					if state != "done" {
						t.Errorf("the job is %s", state)
					}
				} else {
					want := event.MP4ProcessingFailed{ChannelName: "chan", ID: stream, Reason: tt.reason, Attempt: 1}
					if got := last[event.MP4ProcessingFailed](t, n); !reflect.DeepEqual(got, want) {
						t.Errorf("got %+v\nwant %+v", got, want)
					}
					if state != "failed" || reason != tt.reason {
						t.Errorf("the job is %s: %s", state, reason)
					}
					all := n.said(t)
					eventtest.Example(t, "MP4ProcessingFailed", all[len(all)-1], `"chan"`, `"01jdmq7b2p0s8t6v4x1z3a5c7e"`)
				}
				emptyWorkDir(t, p)
			})
		})
	}
}

// TestQueues: a node works on as many recordings at a time as it may, and short
// ones do not wait for long ones.
func TestQueues(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		var at, most atomic.Int64
		free := make(chan struct{})
		n := open(t, p, postprocess.Config{FFmpeg: filepath.Join(p.Dir, "none"), Local: 1, Workers: 1}, func(real postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
				if strings.HasSuffix(prefix, "-long") {
					select {
					case <-free:
					case <-ctx.Done():
						return postprocess.Media{}, ctx.Err()
					}
				} else {
					defer at.Add(-1)
					now := at.Add(1)
					for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
					}
					time.Sleep(20 * time.Millisecond)
				}
				return real.Remux(ctx, prefix, w, progress)
			})
		})
		n.start(t)
		hear := func(stream string, length time.Duration) {
			record(t, n.objects, "recordings/chan/"+stream)
			n.mustHear(t, event.New(event.RecordingStateChange{
				RecordingStatus: event.RecordingEnd, ChannelName: "chan", StreamID: stream,
				RecordingS3KeyPrefix: "recordings/chan/" + stream, RecordingDurationMS: length.Milliseconds(),
			}))
		}
		long := []string{streamID() + "-long", streamID() + "-long"}
		for _, stream := range long {
			hear(stream, 15*time.Minute+time.Millisecond)
		}
		var short []string
		for range 4 {
			short = append(short, streamID())
			hear(short[len(short)-1], 15*time.Minute)
		}
		for _, stream := range short {
			n.await(t, stream, flow.Done)
			if by := n.complete(t, stream).Compute; by != "local" {
				t.Errorf("%s was made by %s", stream, by)
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d at a time", most.Load())
		}
		close(free)
		for _, stream := range long {
			n.await(t, stream, flow.Done)
			if by := n.complete(t, stream).Compute; by != "worker" {
				t.Errorf("%s was made by %s", stream, by)
			}
		}
	})
}

// TestReconcile: a job whose flow was not started is taken up, one whose flow
// was cancelled is ended.
func TestReconcile(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		ctx := context.Background()
		stuck := make(chan struct{}, 2)
		n := open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
				if strings.HasSuffix(prefix, "-stuck") {
					stuck <- struct{}{}
					<-ctx.Done()
					return postprocess.Media{}, ctx.Err()
				}
				return real.Remux(ctx, prefix, w, progress)
			})
		})
		early, cancelled := streamID(), streamID()+"-stuck"
		record(t, n.objects, "recordings/chan/"+early)
		if err := n.hear(ended(early)); errs.CodeOf(err) != errs.Unavailable {
			t.Fatalf("an event before the engine runs: %v", err)
		}
		if state, _ := n.job(t, early); state != "waiting" {
			t.Fatalf("the job is %q", state)
		}
		n.start(t)
		run, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); n.service.Run(run) }()
		n.await(t, early, flow.Done)
		stop()
		<-done

		n.mustHear(t, ended(cancelled))
		<-stuck
		if err := n.service.Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		if state, _ := n.job(t, cancelled); state != "processing" {
			t.Fatalf("the job that runs is %q", state)
		}
		if err := n.flows.Cancel(ctx, "post-"+cancelled); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := n.service.Reconcile(ctx); err != nil {
				t.Fatal(err)
			}
		}
		want := event.MP4ProcessingFailed{ChannelName: "chan", ID: cancelled, Reason: "The MP4 could not be made: the work was cancelled.", Attempt: 1}
		if got := last[event.MP4ProcessingFailed](t, n); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		if got := n.types(t); len(got) != 4 {
			t.Errorf("said %v", got)
		}
	})
}

func TestSenselessEventsAreDropped(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, nil)
		n.start(t)
		good := event.RecordingStateChange{
			RecordingStatus: event.RecordingEnd, ChannelName: "chan", StreamID: "st-1", RecordingS3KeyPrefix: "recordings/chan/st-1",
		}
		for name, change := range map[string]func(*event.RecordingStateChange){
			"start":          func(d *event.RecordingStateChange) { d.RecordingStatus = event.RecordingStart },
			"no stream":      func(d *event.RecordingStateChange) { d.StreamID = "" },
			"stream is path": func(d *event.RecordingStateChange) { d.StreamID = "../x" },
			"no channel":     func(d *event.RecordingStateChange) { d.ChannelName = "" },
			"no prefix":      func(d *event.RecordingStateChange) { d.RecordingS3KeyPrefix = "" },
			"prefix leaves":  func(d *event.RecordingStateChange) { d.RecordingS3KeyPrefix = "recordings/../secrets" },
		} {
			d := good
			change(&d)
			if err := n.hear(event.New(d)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		broken := event.New(good)
		broken.Detail = []byte(`{"stream_id":7}`)
		n.mustHear(t, broken)
		list, err := n.flows.List(context.Background(), flow.Filter{})
		if err != nil || len(list) != 0 {
			t.Errorf("flows %v, %v", list, err)
		}
		if state, _ := n.job(t, "st-1"); state != "" {
			t.Errorf("there is a job, %s", state)
		}
	})
}
