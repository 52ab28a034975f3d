package transcode

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// able is an ffmpeg that can all.
func able() Tools {
	set := func(names ...string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	return Tools{path: "ffmpeg", encoders: set("libx264", "aac", "libopus"), decoders: set("h264", "hevc", "vp8", "vp9", "libdav1d", "opus", "aac")}
}

func source(codec cmaf.VideoCodec, width, height int) Source {
	return Source{Codec: codec, Width: width, Height: height, Audio: &cmaf.AudioConfig{Codec: cmaf.Opus, Channels: 2}}
}

// granted lists what a plan has, as its decisions say and as its fields do.
func granted(t *testing.T, p *Plan) string {
	t.Helper()
	var said, has []string
	for _, d := range p.Decisions {
		if d.Why == "" || d.Cost <= 0 {
			t.Errorf("a decision without reason or cost: %+v", d)
		}
		if d.Granted {
			said = append(said, d.What)
		}
	}
	if p.Top != nil {
		has = append(has, p.Top.Name)
	}
	if p.Audio != 0 {
		has = append(has, p.Audio.String())
	}
	for _, r := range p.Rungs {
		has = append(has, r.Name)
	}
	if !slices.Equal(said, has) {
		t.Errorf("decided %v, planned %v", said, has)
	}
	return strings.Join(has, " ")
}

func TestDecide(t *testing.T) {
	noAudio := source(cmaf.H264, 1280, 720)
	noAudio.Audio = nil
	aac := source(cmaf.H264, 1280, 720)
	aac.Audio = &cmaf.AudioConfig{Codec: cmaf.AAC}
	without := able()
	without.encoders = map[string]bool{"aac": true}
	tests := map[string]struct {
		tools  Tools
		cores  float64
		source Source
		want   string
		code   errs.Code
		says   string // in one of the decisions or the error
	}{
		"all":                    {able(), 1.2, source(cmaf.H264, 1280, 720), "AAC 480p 360p", "", "for viewers with a slow connection"},
		"upright":                {able(), 1.2, source(cmaf.H264, 720, 1280), "AAC 480p 360p", "", ""},
		"RTMP":                   {able(), 1.2, aac, "Opus 480p 360p", "", ""},
		"no sound":               {able(), 1.2, noAudio, "480p 360p", "", ""},
		"small":                  {able(), 1.2, source(cmaf.H264, 640, 480), "AAC 360p", "", "There is no 480p: your picture is not larger"},
		"smaller":                {able(), 1.2, source(cmaf.H264, 640, 360), "AAC", "", ""},
		"room for one":           {able(), 0.3, source(cmaf.H264, 1280, 720), "AAC 480p", "", "There is no 360p: the server is busy"},
		"room for AAC":           {able(), 0.15, source(cmaf.H264, 1280, 720), "AAC", "", "There is no 480p: the server is busy"},
		"no room":                {able(), 0.01, source(cmaf.H264, 1280, 720), "", "", "There is no AAC: the server is busy"},
		"VP8":                    {able(), 1.2, source(cmaf.VP8, 1280, 720), "H264 AAC 480p 360p", "", "H264 is made of your VP8"},
		"VP8 first":              {able(), 0.34, source(cmaf.VP8, 1280, 720), "H264", "", ""},
		"VP8 without room":       {able(), 0.3, source(cmaf.VP8, 1280, 720), "", errs.Unavailable, "send H264, or try again later"},
		"AV1 without ffmpeg":     {Tools{}, 1.2, source(cmaf.AV1, 1280, 720), "", errs.Unsupported, "no ffmpeg to make H264 of AV1; send H264"},
		"H264 without ffmpeg":    {Tools{}, 1.2, source(cmaf.H264, 1280, 720), "", "", "There is no 480p: this server has no ffmpeg"},
		"without libx264":        {without, 1.2, source(cmaf.VP9, 1280, 720), "", errs.Unsupported, "no libx264"},
		"AAC without libx264":    {func() Tools { w := able(); delete(w.encoders, "libx264"); return w }(), 1.2, source(cmaf.H264, 1280, 720), "AAC", "", ""},
		"a picture of a hundred": {able(), 100, source(cmaf.VP9, 16000, 9000), "", errs.Unsupported, "too large"},
		"the same in H264":       {able(), 100, source(cmaf.H264, 16000, 9000), "AAC", "", "too large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := NewBudget(tt.tools, tt.cores)
			plan, err := b.Decide(tt.source)
			if errs.CodeOf(err) != tt.code {
				t.Fatal(err)
			}
			if err != nil {
				if u := b.Usage(); !strings.Contains(err.Error(), tt.says) || u.Used != 0 || u.Streams != 0 || u.Refused["H264"] != 1 {
					t.Errorf("%v, %+v", err, u)
				}
				return
			}
			if got := granted(t, plan); got != tt.want {
				t.Errorf("%q, want %q: %+v", got, tt.want, plan.Decisions)
			}
			if !slices.ContainsFunc(plan.Decisions, func(d Decision) bool { return strings.Contains(d.Why, tt.says) }) {
				t.Errorf("none of %+v says %q", plan.Decisions, tt.says)
			}
			if u := b.Usage(); u.Streams != 1 || u.Used != plan.Cost || u.Used > tt.cores {
				t.Errorf("%+v for %v", u, plan.Cost)
			}
			plan.Release()
			plan.Release()
			if u := b.Usage(); u.Streams != 0 || u.Used != 0 {
				t.Errorf("after the release: %+v", u)
			}
		})
	}
}

// TestBudgetFills lets streams come until there is no room, and one go.
func TestBudgetFills(t *testing.T) {
	b := NewBudget(able(), 1.2)
	var got []string
	var first *Plan
	for range 9 {
		plan, err := b.Decide(source(cmaf.H264, 1280, 720))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = plan
		}
		got = append(got, granted(t, plan))
	}
	want := []string{"AAC 480p 360p", "AAC 480p 360p", "AAC 480p 360p", "AAC 480p 360p", "AAC", "AAC", "AAC", "AAC", ""}
	if u := b.Usage(); u.Used > u.Cores || u.Granted["AAC"] != int64(strings.Count(strings.Join(got, " "), "AAC")) || u.Refused["480p"] == 0 {
		t.Errorf("%+v", u)
	}
	if got[0] != want[0] || got[8] == want[0] || slices.Index(got, "AAC") < 3 {
		t.Errorf("%q", got)
	}
	first.Release()
	if plan, err := b.Decide(source(cmaf.H264, 1280, 720)); err != nil || len(plan.Rungs) == 0 {
		t.Errorf("after one has gone: %+v, %v", plan, err)
	}
}

// TestDrop has a stream give up what it was granted, piece by piece.
func TestDrop(t *testing.T) {
	b := NewBudget(able(), 2)
	plan, err := b.Decide(source(cmaf.VP8, 1280, 720))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ drop, left string }{
		{"720p", "H264 AAC 480p 360p"}, {"360p", "H264 AAC 480p"}, {"AAC", "H264 480p"}, {"H264", "480p"}, {"480p", ""},
	} {
		plan.Drop(step.drop)
		if got := granted(t, plan); got != step.left {
			t.Errorf("without %s: %q, want %q", step.drop, got, step.left)
		}
		if u := b.Usage(); math.Abs(u.Used-plan.Cost) > 1e-9 || u.Streams != 1 {
			t.Errorf("without %s: %+v, the plan costs %v", step.drop, u, plan.Cost)
		}
	}
	plan.Release()
	if u := b.Usage(); u.Used > 1e-9 || u.Streams != 0 {
		t.Errorf("after the release: %+v", u)
	}
	NoPlan().Drop("AAC")
	NoPlan().Release()
}

func TestDefaultBudget(t *testing.T) {
	if u := NewBudget(able(), 0).Usage(); u.Cores <= 0 || u.Cores > 1000 {
		t.Errorf("%+v", u)
	}
}

func TestCostGrows(t *testing.T) {
	half := source(cmaf.H264, 1280, 720)
	half.FrameRate = 15
	full := videoCost(source(cmaf.H264, 1280, 720), 480)
	if math.Abs(full/2-videoCost(half, 480)) > 1e-9 {
		t.Error("half the frames are not half the cost")
	}
	if full < 0.12 || full > 0.16 {
		t.Errorf("480p of 720p costs %.3f cores", full)
	}
	if c := videoCost(source(cmaf.VP8, 1280, 720), 0); c < 0.28 || c > 0.36 {
		t.Errorf("H264 of VP8 at 720p costs %.3f cores", c)
	}
}

func TestSize(t *testing.T) {
	tests := []struct{ width, height, rung, w, h int }{
		{1280, 720, 480, 854, 480},
		{1280, 720, 360, 640, 360},
		{720, 1280, 480, 480, 854},
		{640, 480, 360, 480, 360},
		{640, 360, 480, 640, 360},
		{641, 361, 0, 642, 362},
		{1920, 800, 480, 1152, 480},
		{2, 4000, 480, 2, 4000},
	}
	for _, tt := range tests {
		if w, h := size(tt.width, tt.height, tt.rung); w != tt.w || h != tt.h {
			t.Errorf("%dx%d to %d: %dx%d, want %dx%d", tt.width, tt.height, tt.rung, w, h, tt.w, tt.h)
		}
	}
	if r := Bitrate(854, 480, 30); r < 1_190_000 || r > 1_210_000 {
		t.Errorf("480p has %d bit/s", r)
	}
	if r := Bitrate(1280, 720, 30); r < 2_000_000 || r > 2_500_000 {
		t.Errorf("720p has %d bit/s", r)
	}
}
