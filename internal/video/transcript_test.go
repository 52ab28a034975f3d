package video_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// answered is a lifecycle in which plugins gave these answers.
func answered(answers ...string) event.LifeCycleResult {
	var all []event.PluginOutput
	for _, a := range answers {
		all = append(all, output("a", a))
	}
	return event.LifeCycleResult{Outputs: event.PluginOutputs{"preMetadata": all}}
}

func (f *fixture) transcriptOf(id string) string {
	f.t.Helper()
	var v struct{ TranscriptURL string }
	f.call(as("alice"), "GET", "/api/video/"+id, "").Want(200).JSON(&v)
	return v.TranscriptURL
}

// What is said in a video is found, and where it can be read is answered.
func TestTranscripts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		const vtt = "WEBVTT a title\n\nNOTE hidden\nwords\n\nSTYLE\n::cue { color: red }\n\nfirst-cue\n00:00.000 --> 00:02.000 line:0\n" +
			"<v Ada>Welcome to the <b>greenhouse</b>\nof orchids\n\n00:02.000 --> 00:04.000\nGoodbye\n"
		put := func(key, text string) {
			t.Helper()
			if err := f.objects.Put(t.Context(), key, strings.NewReader(text), int64(len(text))); err != nil {
				t.Fatal(err)
			}
		}
		put("videos/st-2/plugins/transcribe/all.vtt", vtt)
		put("videos/st-3/plugins/transcribe/all.txt", strings.Repeat("filler ", 200<<10/7+1)+"beyond")
		put("videos/st-6/secret.txt", "sesame")
		f.publish("st-1", answered(`{"pluginData":{"transcript":"Once upon a harbour"}}`))
		f.publish("st-2", answered(`{"transcript":"an older lighthouse"}`, `{"transcriptURL":"https://x/vod/st-2/plugins/transcribe/all.vtt","title":"T"}`))
		f.publish("st-3", answered(`{"transcriptURL":"https://x/vod/st-3/plugins/transcribe/all.txt"}`))
		f.publish("st-4", answered(`{"transcriptURL":"https://elsewhere.example/t.txt","transcript":7}`))
		f.publish("st-5", answered(`{"transcriptURL":"javascript:alert(1)"}`))
		f.publish("st-6", answered(`{"transcriptURL":"https://x/vod/st-6/secret.txt"}`))
		f.publish("st-7", answered(`{"transcriptURL":"https://x/vod/st-7/plugins/transcribe/missing.vtt"}`))
		for id, want := range map[string]string{
			"st-1": "", "st-2": "https://x/vod/st-2/plugins/transcribe/all.vtt", "st-3": "https://x/vod/st-3/plugins/transcribe/all.txt",
			"st-4": "https://elsewhere.example/t.txt", "st-5": "", "st-6": "", "st-7": "",
		} {
			if got := f.transcriptOf(id); got != want {
				t.Errorf("the transcript of %s is at %q, want %q", id, got, want)
			}
		}
		f.describe("st-1", `{"title":"A walk"}`) // what is said stays found
		for asked, want := range map[string][]string{
			"harbour": {"st-1"}, "walk harbour": {"st-1"}, "orchids greenhouse": {"st-2"}, "lighthouse": {"st-2"}, "goodbye": {"st-2"},
			"ada": {}, "first": {}, "hidden": {}, "color": {}, "line": {}, "filler": {"st-3"}, "beyond": {}, "sesame": {},
		} {
			if got := f.found(context.Background(), "/api/videos", asked); !slices.Equal(got, want) {
				t.Errorf("%q finds %v, want %v", asked, got, want)
			}
		}
		if err := f.Delete(as("alice"), "st-1"); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := f.db.Read().QueryRow(`SELECT count(*) FROM video_transcripts WHERE video_id = 'st-1'`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d transcripts are left of a deleted video, %v", left, err)
		}
	})
}

// However long and strange a transcript is, a video becomes valid with it.
func TestStrangeTranscripts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for i, text := range []string{"", "\x00\u0000", strings.Repeat("東", 70_000), strings.Repeat("x", 1<<20), "-->\n<\n>"} {
			encoded, err := json.Marshal(map[string]string{"transcript": text})
			if err != nil {
				t.Fatal(err)
			}
			f.publish(idOf(i), answered(string(encoded)))
			var v struct{ Status string }
			if f.call(as("alice"), "GET", "/api/video/"+idOf(i), "").Want(200).JSON(&v); v.Status != "valid" {
				t.Errorf("with %.20q it is %s", text, v.Status)
			}
		}
	})
}
