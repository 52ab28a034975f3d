package recorder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

// sketch makes a rung of segments of a second from words like "3", "4d" after a
// discontinuity, "5n" dependent, "2:6" in epoch 2.
func sketch(name, words string) RungRecording {
	rung := RungRecording{Name: name}
	for word := range strings.FieldsSeq(words) {
		s := Segment{Epoch: 1, Ticks: 90_000, Init: 1}
		if epoch, rest, ok := strings.Cut(word, ":"); ok {
			s.Epoch, word = number(epoch), rest
		}
		s.Discontinuity, s.Dependent = strings.Contains(word, "d"), strings.Contains(word, "n")
		s.MSN = uint64(number(strings.Trim(word, "dn")))
		s.StartMS = int64(s.MSN)*1000 + (s.Epoch-1)*60_000 // another process begins later
		rung.Segments = append(rung.Segments, s)
	}
	return rung
}

// show is the reverse of sketch for a playlist: "-" before a discontinuity, "x"
// after a gap.
func show(text string) string {
	var out []string
	mark, gap := "", ""
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "#EXT-X-DISCONTINUITY":
			mark = "-"
		case line == "#EXT-X-GAP":
			gap = "x"
		case line != "" && line[0] != '#':
			parts := strings.Split(strings.TrimPrefix(line, videoPrefix), "-")
			msn, _ := strconv.Atoi(parts[1])
			out = append(out, mark+strconv.Itoa(msn)+gap)
			mark, gap = "", ""
		}
	}
	return strings.Join(out, " ")
}

// TestTimeline lays rungs side by side.
func TestTimeline(t *testing.T) {
	tests := []struct {
		name        string
		top, small  string
		wantTop     string
		wantSmall   string
		independent bool
	}{
		{"alike", "0 1 2", "0 1 2", "0 1 2", "0 1 2", true},
		{"begins with a discontinuity", "0d 1", "0d 1", "0 1", "0 1", true},
		{"a new picture size", "0 1d 2", "0 1d 2", "0 -1 2", "0 -1 2", true},
		{"lost on both", "0 2 3", "0 2 3", "0 -2 3", "0 -2 3", true},
		{"lost on one", "0 1 2 3", "0 1 3", "0 1 2 3", "0 1 2x 3", true},
		{"lost on the best", "0 2 3", "0 1 2 3", "0 1x 2 3", "0 1 2 3", true},
		{"lost before a discontinuity", "0 1 2d", "0 2d", "0 1 -2", "0 1x -2", true},
		{"lost here, then there", "0 2 3", "0 1 3", "0 1x 2 3", "0 1 2x 3", true},
		{"a rung that begins late", "0 1 2", "2", "0 1 2", "0x 1x 2", true},
		{"a rung that dies", "0 1 2", "0", "0 1 2", "0 1x 2x", true},
		{"numbers go on in a new epoch", "0 1 2:2 2:3", "0 1 2:2 2:3", "0 1 -2 3", "0 1 -2 3", true},
		{"a number comes again in a new epoch", "0 1 2:1 2:2", "0 1 2:1 2:2", "0 1 -1 2", "0 1 -1 2", true},
		{"without key frames", "0 1n", "0 1n", "0 1", "0 1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := Recording{Prefix: prefix, Rungs: []RungRecording{sketch("source", tt.top), sketch("480p", tt.small)}}
			for rung, want := range map[string]string{"source": tt.wantTop, "480p": tt.wantSmall} {
				for _, v := range []View{Whole, VideoOnly} {
					m, err := rec.Playlist(rung, v)
					if err != nil {
						t.Fatal(err)
					}
					text := string(m.AppendTo(nil))
					if got := show(text); got != want || m.IndependentSegments != tt.independent {
						t.Errorf("%s: %s, want %s\n%s", rung, got, want, text)
					}
					if err := hlstest.CheckMedia([]byte(text)); err != nil {
						t.Errorf("%s: %v\n%s", rung, err, text)
					}
					if strings.Count(text, "\nv-") != len(m.Segments)*int(v) || strings.Count(text, `URI="v-init-`) > 0 != (v == VideoOnly) {
						t.Errorf("names of view %d:\n%s", v, text)
					}
				}
			}
		})
	}
	rec := Recording{Rungs: []RungRecording{sketch("source", "0")}}
	_, err := rec.Playlist("720p", Whole)
	if errs.CodeOf(err) != errs.NotFound {
		t.Error(err)
	}
}

// TestRungOrder puts the best rung first and sound alone last.
func TestRungOrder(t *testing.T) {
	var rec Recording
	for _, rung := range []string{"aac", "360p", "source", "720p", "h264", "1080p"} {
		rec.add(rung, Segment{})
	}
	var names []string
	for _, r := range rec.Rungs {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, " "); got != "source h264 1080p 720p 360p aac" {
		t.Error(got)
	}
}

// TestMultivariant reads the playlists of a recording with an AAC rendition,
// and lets ffmpeg play each of its variants.
func TestMultivariant(t *testing.T) {
	store := newMoody(t, well)
	storeClip(t, store, nil)
	rec := list(t, store)
	server := httptest.NewServer(serve(store, rec))
	defer server.Close()
	for set, want := range map[Set]string{
		AllSets: `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="own",NAME="Audio",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Audio",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="aac/media.m3u8"
avc1 opus 640x360 30.000 own source/media.m3u8
avc1 opus 320x180 30.000 own 180p/media.m3u8
avc1 mp4a.40.2 640x360 30.000 aac source/video.m3u8
avc1 mp4a.40.2 320x180 30.000 aac 180p/video.m3u8
`,
		AACSet: `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Audio",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="aac/media.m3u8"
avc1 mp4a.40.2 640x360 30.000 aac source/video.m3u8
avc1 mp4a.40.2 320x180 30.000 aac 180p/video.m3u8
`,
	} {
		m, err := rec.Multivariant(context.Background(), store, set)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for line := range strings.Lines(string(m.AppendTo(nil))) {
			if strings.HasPrefix(line, "#EXT-X-MEDIA") {
				got += line
			}
		}
		for _, v := range m.Variants {
			codec, _, _ := strings.Cut(v.Codecs[0], ".")
			got += fmt.Sprintf("%s %s %dx%d %.3f %s %s\n", codec, strings.Join(v.Codecs[1:], " "), v.Width, v.Height, v.FrameRate, v.AudioGroup, v.URI)
		}
		if got != want {
			t.Errorf("set %d:\n%s", set, m.AppendTo(nil))
		}
		for i, v := range m.Variants {
			checkRate(t, store, rec, v.URI, v.Bandwidth)
			master := server.URL + "/" + strconv.Itoa(int(set)) + "/master.m3u8"
			playVariant(t, master, i, v.AudioGroup == "aac")
		}
	}
}

// checkRate holds a variant's bandwidth against what is sent for it: never
// less, and no more than a tenth above.
func checkRate(t *testing.T, store blob.Store, rec Recording, uri string, bandwidth int) {
	t.Helper()
	name, _, _ := strings.Cut(uri, "/")
	rung := rec.Rungs[rec.rung(name)]
	var peak int64
	for i, s := range rung.Segments {
		size := s.Size
		if strings.HasSuffix(uri, videoPlaylist) {
			data, _, err := ReadVideoOnly(context.Background(), store, join(prefix, name, s.Name()))
			if err != nil {
				t.Fatal(err)
			}
			size = int64(len(data)) + rec.Rungs[rec.rung(AACRung)].Segments[i].Size
		}
		peak = max(peak, bitrate(size, s.Ticks))
	}
	if int64(bandwidth) < peak*95/100 || int64(bandwidth) > peak*110/100 {
		t.Errorf("%s: BANDWIDTH is %d, the peak %d", uri, bandwidth, peak)
	}
}

// playVariant decodes one variant of a playlist with its sound.
func playVariant(t *testing.T, master string, program int, aac bool) {
	t.Helper()
	codec := "opus"
	if aac {
		codec = "aac"
	}
	out := tool(t, "ffprobe", "-count_packets", "-select_streams", "p:"+strconv.Itoa(program), "-show_entries", "stream=codec_name,nb_read_packets", "-of", "csv=p=0", master)
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		if kind, n, ok := strings.Cut(strings.TrimSpace(line), ","); ok && kind != "" {
			counts[kind], _ = strconv.Atoi(strings.Trim(n, ","))
		}
	}
	least := 48000 * clipSeconds / 1024
	if counts["h264"] != clipSeconds*clipRate || counts[codec] < least || len(counts) != 2 {
		t.Errorf("%s, variant %d: %v", master, program, counts)
	}
	tool(t, "ffmpeg", "-xerror", "-i", master, "-map", "0:p:"+strconv.Itoa(program), "-f", "null", "-")
}

// serve is a recording over HTTP: /{set}/master.m3u8 and what it names.
func serve(store blob.Store, rec Recording) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{set}/master.m3u8", func(w http.ResponseWriter, r *http.Request) {
		set, _ := strconv.Atoi(r.PathValue("set"))
		m, err := rec.Multivariant(r.Context(), store, Set(set))
		answer(w, err, func() []byte { return m.AppendTo(nil) })
	})
	mux.HandleFunc("GET /{set}/{rung}/{name}", func(w http.ResponseWriter, r *http.Request) {
		rung, name := r.PathValue("rung"), r.PathValue("name")
		if i := slices.Index([]string{mediaPlaylist, videoPlaylist}, name); i >= 0 {
			m, err := rec.Playlist(rung, View(i))
			answer(w, err, func() []byte { return m.AppendTo(nil) })
			return
		}
		stored, view := ViewOf(name)
		key, err := Key(rec.Prefix, rung, stored)
		if err == nil && view == VideoOnly {
			data, _, err := ReadVideoOnly(r.Context(), store, key)
			answer(w, err, func() []byte { return data })
			return
		}
		o, err2 := store.Open(r.Context(), key)
		if err := errors.Join(err, err2); err != nil {
			answer(w, err, nil)
			return
		}
		defer o.Close()
		http.ServeContent(w, r, "", o.ModTime, o)
	})
	return mux
}

func answer(w http.ResponseWriter, err error, body func() []byte) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	_, _ = w.Write(body())
}

// TestMultivariantAlone takes recordings without a second set.
func TestMultivariantAlone(t *testing.T) {
	for name, lacks := range map[string]func(string, int) bool{
		"no AAC":             func(rung string, _ int) bool { return rung == "aac" },
		"AAC that soon died": func(rung string, n int) bool { return rung == "aac" && n > 0 },
	} {
		t.Run(name, func(t *testing.T) {
			store := newMoody(t, well)
			storeClip(t, store, lacks)
			for _, set := range []Set{AllSets, AACSet} {
				m, err := list(t, store).Multivariant(context.Background(), store, set)
				if err != nil {
					t.Fatal(err)
				}
				if len(m.Variants) != 2 || len(m.Renditions) != 0 || m.Variants[0].AudioGroup != "" || m.Variants[0].URI != "source/media.m3u8" {
					t.Errorf("%s", m.AppendTo(nil))
				}
			}
		})
	}
}

// TestSources makes MP4s with the AAC rendition's sound when it is whole, else
// with the source's own.
func TestSources(t *testing.T) {
	for codec, lacks := range map[string]func(string, int) bool{
		"mp4a.40.2": nil,
		"opus":      func(rung string, n int) bool { return rung == "aac" && n == 2 },
	} {
		t.Run(codec, func(t *testing.T) {
			store := newMoody(t, well)
			storeClip(t, store, lacks)
			var size counter
			video, audio := list(t, store).Sources(store)
			info, err := cmaf.Remux(context.Background(), &size, video, audio, nil)
			if err != nil {
				t.Fatal(err)
			}
			if info.Width != 640 || info.VideoSamples != clipSeconds*clipRate || info.AudioSamples < 48000*clipSeconds/1024 ||
				info.Codecs[1] != codec || info.DurationMS < 1000*clipSeconds || info.DurationMS > 1000*clipSeconds+50 || int64(size) != info.Size {
				t.Errorf("%+v", info)
			}
		})
	}
	if video, audio := (Recording{}).Sources(newMoody(t, well)); video != nil || audio != nil {
		t.Error(video, audio)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
