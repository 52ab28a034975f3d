package video

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"  — !? \n", nil},
		{"Straße, CAFÉ: l'été", []string{"strasse", "cafe", "lete"}},
		{"Don’t don't", []string{"dont", "dont"}},
		{"H264/HEVC 4K-video_1", []string{"h264", "hevc", "4k", "video", "1"}},
		{"ﬁne Ｆｕｌｌ", []string{"fine", "full"}},
		{"İstanbul", []string{"istanbul"}},
		{"東京 タワー", []string{"東", "京", "タ", "ワ", "ー"}},
		{"a AND b* OR \"c\" & !d | (e):*", []string{"a", "and", "b", "or", "c", "d", "e"}},
		{strings.Repeat("x", 100), []string{strings.Repeat("x", maxWord)}},
		{"a\xffb\x00c", []string{"a", "b", "c"}},
	} {
		if got := words(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("words of %q are %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestQuestion(t *testing.T) {
	for typed, want := range map[string]string{
		"": "", "...": "", "Hello": "hello*", " two  Words": "two* words*",
		strings.Repeat("w ", 100): strings.TrimSuffix(strings.Repeat("w* ", maxAsked), " "),
	} {
		if got := question(typed); got != want {
			t.Errorf("%q asks %q, want %q", typed, got, want)
		}
	}
}

func TestWordsOfAVideo(t *testing.T) {
	v := sqlc.Video{
		Title: "a machine's", TypedTitle: "My Talk", Tags: `["found"]`, TypedTags: `["Go","talk"]`,
		Description: "On\nSQL", EventTag: "conf26", Username: "brave-otter", Channel: "01-Ab",
	}
	if got, want := wordsOf(v), "_01_ab brave conf26 go my on otter sql talk"; got != want {
		t.Errorf("found by %q, want %q", got, want)
	}
}

// Whatever is typed, only words come out that mean nothing to the databases'
// query languages.
func FuzzWords(f *testing.F) {
	f.Add("NEAR(a b) AND \"c*\" ' & | ! <-> :* 東京")
	f.Fuzz(func(t *testing.T, text string) {
		for _, w := range words(text) {
			if w == "" || !utf8.ValidString(w) || utf8.RuneCountInString(w) > maxWord || slices.Contains([]string{"AND", "OR", "NOT", "NEAR"}, w) {
				t.Errorf("word %q", w)
			}
			for _, r := range w {
				if r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.IsSpace(r) {
					t.Errorf("word %q", w)
				}
			}
		}
	})
}
