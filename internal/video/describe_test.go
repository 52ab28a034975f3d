package video

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// Whatever plugins answer, a title and tags come out that rows, events and
// pages can take.
func FuzzDescribe(f *testing.F) {
	f.Add([]byte(`{"title":"T","tags":["a","b"],"pluginData":{"title":"N","tags":["c"]}}`))
	f.Add([]byte(`{"title":"\u0000\ud800","tags":["\n","\u202e"],"pluginData":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := describe(event.PluginOutputs{"postMetadata": {{OutputKey: "plugin-x", OutputValue: json.RawMessage(b)}}})
		for _, s := range append(d.tags, d.title) {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) || utf8.RuneCountInString(s) > maxTitle {
				t.Errorf("%q", s)
			}
		}
		if len(d.tags) > maxTags {
			t.Errorf("%d tags", len(d.tags))
		}
		if got := decodeTags(encodeTags(d.tags)); len(got) != len(d.tags) {
			t.Errorf("tags %q are stored as %q", d.tags, got)
		}
	})
}
