package video

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// Words are split and folded here, once, in the same way for what is stored and
// for what is asked. The databases only look them up, so that both find the same.

const (
	maxWord  = 40 // characters of a word that count
	maxAsked = 12 // words of a question that count
)

// words splits a text into folded words: of equal case, without accents and
// without apostrophes. Scripts that write no spaces are split into characters.
func words(text string) []string {
	var found []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			found = append(found, string(word))
			word = word[:0]
		}
	}
	for _, r := range cases.Fold().String(norm.NFKD.String(strings.ToValidUTF8(text, " "))) {
		switch {
		case unicode.Is(unicode.Mn, r), r == '\'', r == '’':
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
			end()
			found = append(found, string(r))
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.Is(unicode.Mc, r):
			if len(word) < maxWord {
				word = append(word, r)
			}
		default:
			end()
		}
	}
	end()
	return found
}

// wordsOf returns the words by which a video is found, each once, but for those of
// its transcript.
func wordsOf(v sqlc.Video) string {
	found := words(strings.Join(append(tagsOf(v), titleOf(v), v.Description, v.Username, v.EventTag), " "))
	found = append(found, channelWord(v.Channel))
	slices.Sort(found)
	return strings.Join(slices.Compact(found), " ")
}

// channelWord stands among the words of a channel's videos. Nobody can type it:
// what people type is split at the _ that it begins with.
func channelWord(id string) string {
	return "_" + strings.ToLower(strings.ReplaceAll(id, "-", "_"))
}

// question makes of what somebody typed what video_search takes (migration 9):
// every word must be there, or one that begins with it. "" asks for nothing.
func question(typed string) string {
	found := words(typed)
	if len(found) > maxAsked {
		found = found[:maxAsked]
	}
	if len(found) == 0 {
		return ""
	}
	return strings.Join(found, "* ") + "*"
}

// tagsOf returns what the broadcaster typed, else what the plugins found.
func tagsOf(v sqlc.Video) []string {
	if typed := decodeTags(v.TypedTags); len(typed) > 0 {
		return typed
	}
	return decodeTags(v.Tags)
}
