package history_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestShape(t *testing.T) {
	f := newFixture(t, sqlite(t))
	f.hear(newScript("st-1").views(5, 3).ask(7, "preValidate", "p").events...)
	var got struct {
		Count int               `json:"count"`
		Next  *string           `json:"nextPage"`
		Data  []json.RawMessage `json:"data"`
	}
	answer := f.client.Get("/api/video/st-1/history").Want(200)
	answer.JSON(&got)
	want := []string{
		`{"type":"metric","createdAt":"2026-11-22T18:00:00.005Z","videoId":"st-1","key":"peak-viewers","label":"Most viewers at once","value":"3"}`,
		`{"type":"service","createdAt":"2026-11-22T18:00:00.007Z","videoId":"st-1","key":"hook-preValidate","icon":"shield","title":"Checks","subtitle":"preValidate · 1 plugin","description":""}`,
		`{"type":"service","createdAt":"2026-11-22T18:00:00.007Z","videoId":"st-1","key":"plugin-preValidate-p","parent":"hook-preValidate","icon":"plug","title":"p","subtitle":"Working","description":""}`,
		`{"type":"metric","createdAt":"2026-11-22T18:00:00.007Z","videoId":"st-1","key":"plugins","label":"Plugins","value":"1"}`,
	}
	if got.Next != nil || got.Count != len(want) || len(got.Data) != len(want) {
		t.Fatalf("got %s", answer.Body)
	}
	for i, w := range want {
		if string(got.Data[i]) != w {
			t.Errorf("row %d is\n%s\nwant\n%s", i, got.Data[i], w)
		}
	}
	if cc := answer.Header.Get("Cache-Control"); !strings.Contains(cc, "private") && !strings.Contains(cc, "no-store") {
		t.Errorf("a shared cache may keep what one user sees: %q", cc)
	}
}

func TestWhoMayRead(t *testing.T) {
	f := newFixture(t, sqlite(t))
	f.access.hidden = []string{"st-2"}
	f.hear(newScript("st-1").fail(0, "preValidate", "p", "the reason").events...)
	f.hear(newScript("st-2").fail(0, "preValidate", "p", "the reason").events...)
	if p := f.owner.Get("/api/video/st-2/history").Want(404).Problem(); !strings.Contains(p.Detail, "st-2") {
		t.Errorf("%+v", p)
	}
	bob := identity.Principal{ID: "bob", Roles: identity.Roles{identity.Broadcaster}}
	root := identity.Principal{ID: "root", Roles: identity.Roles{identity.Admin}}
	for who, tt := range map[string]struct {
		body []byte
		told bool
	}{
		"nobody":  {f.client.Get("/api/video/st-1/history").Want(200).Body, false},
		"another": {f.client.As(bob).Get("/api/video/st-1/history").Want(200).Body, false},
		"owner":   {f.owner.Get("/api/video/st-1/history").Want(200).Body, true},
		"admin":   {f.client.As(root).Get("/api/video/st-1/history").Want(200).Body, true},
	} {
		if told := strings.Contains(string(tt.body), "the reason"); told != tt.told {
			t.Errorf("%s is told the reason: %v", who, told)
		}
	}
}

func TestPages(t *testing.T) {
	f := newFixture(t, sqlite(t))
	f.hear(whole("st-1").events...)
	var page store.List[line]
	f.owner.Get("/api/video/st-1/history").Want(200).JSON(&page)
	if page.Count != store.DefaultLimit || page.NextPage == "" || page.Data[0].Key != "stream-start" {
		t.Fatalf("the first page: %+v", page)
	}
	f.owner.Get("/api/video/st-1/history?limit=100").Want(200).JSON(&page)
	if page.Count != len(strings.Split(strings.TrimSpace(wholeForOwner), "\n")) {
		t.Errorf("the whole has %d rows", page.Count)
	}
	for _, query := range []string{"limit=101", "limit=0", "limit=x", "offset=!"} {
		if a := f.owner.Get("/api/video/st-1/history?" + query); a.Status < 400 || a.Status >= 500 {
			t.Errorf("%s: %d", query, a.Status)
		}
	}
	f.owner.Get("/api/video/st-none/history").Want(200).JSON(&page)
	if page.Count != 0 {
		t.Errorf("of an unknown video: %+v", page)
	}
}

// All that happens in one ms is told in the order of the story.
func TestOrderWithinAMillisecond(t *testing.T) {
	f := newFixture(t, sqlite(t))
	s := whole("st-1")
	for i := range s.events {
		s.events[i].Time = s.begin
	}
	f.hear(s.events...)
	var got []string
	for _, l := range f.story(f.owner, "st-1") {
		if l.Type == "service" {
			got = append(got, l.Key)
		}
	}
	var want []string
	for row := range strings.Lines(strings.TrimSpace(wholeForOwner)) {
		if key, _, isStep := strings.Cut(row, " ["); isStep {
			want = append(want, key[strings.LastIndex(key, " ")+1:])
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The web app draws every icon that the history names.
func TestIconsAreDrawn(t *testing.T) {
	text, err := os.ReadFile("../../web/src/components/Icon.svelte")
	if err != nil {
		t.Fatal(err)
	}
	field, _ := reflect.TypeFor[history.TimelineStep]().FieldByName("Icon")
	for _, icon := range strings.Split(field.Tag.Get("enum"), ",") {
		if !strings.Contains(string(text), "\n    "+icon+": '") && !strings.Contains(string(text), "\n    '"+icon+"': '") {
			t.Errorf("Icon.svelte does not draw %q", icon)
		}
	}
}

func TestPeakOfViewers(t *testing.T) {
	f := newFixture(t, sqlite(t))
	f.hear(newScript("st-1").views(30, 9).views(10, 9).views(20, 4).views(0, -5).state(40, event.StreamEnd).events...)
	peak := f.step("st-1", "peak-viewers")
	if peak.Value != "9" || !strings.HasSuffix(peak.CreatedAt, "00.010Z") {
		t.Errorf("the peak is %s at %s, want 9 when first reached", peak.Value, peak.CreatedAt)
	}
}
