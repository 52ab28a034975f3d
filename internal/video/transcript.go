package video

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

const (
	maxTranscript    = 200 << 10 // bytes of a transcript that are searched
	maxTranscriptURL = 2000      // characters
)

// transcript is what plugins say of what is said in a video: the text itself, or
// where it lies. Later plugins win.
type transcript struct {
	text string
	url  string
}

// read takes what one output says, in fields at its top or under pluginData.
func (t *transcript) read(fields map[string]json.RawMessage) {
	var text string
	if json.Unmarshal(fields["transcript"], &text) == nil && text != "" {
		t.text = text
	}
	if json.Unmarshal(fields["transcriptURL"], &text) == nil && len(text) <= maxTranscriptURL && isWebURL(text) {
		t.url = text
	}
}

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

// transcribed is a transcript as the catalogue keeps it: where it lies, a name
// below the video's address or the URL of another server, and its words.
type transcribed struct{ place, words string }

// transcribe reads what plugins wrote. A file of the video's own is searched; what
// lies elsewhere is not fetched.
func (s *Service) transcribe(ctx context.Context, videoID string, outputs event.PluginOutputs) (transcribed, error) {
	said := describe(outputs).transcript
	t := transcribed{place: said.url}
	text := said.text
	if name, own := strings.CutPrefix(said.url, vodFolder(s.said, videoID)); own {
		if !isTranscript(name) {
			return transcribed{words: transcriptWords(text)}, nil
		}
		t.place = name
		file, err := s.readText(ctx, filesPrefix(videoID)+name)
		switch {
		case errs.CodeOf(err) == errs.NotFound:
			t.place = ""
		case err != nil:
			return t, err
		}
		text += "\n" + file
	}
	t.words = transcriptWords(text)
	return t, nil
}

// vodFolder is the address below which a video's files are found, with a slash at
// its end.
func vodFolder(urls URLs, videoID string) string {
	return strings.TrimSuffix(urls.VOD(videoID), "master.m3u8")
}

// pluginFile is the name of a text that a plugin has put beside a video's files.
var pluginFile = regexp.MustCompile(`^plugins/[A-Za-z0-9_-]{1,50}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\.(txt|vtt)$`)

func isTranscript(name string) bool {
	return pluginFile.MatchString(name) && blob.CheckKey(name) == nil
}

// readText reads a text, of a long one its beginning. That of a WebVTT is what is
// shown of it.
func (s *Service) readText(ctx context.Context, key string) (string, error) {
	object, err := s.objects.Open(ctx, key)
	if err != nil {
		return "", err
	}
	defer func() { _ = object.Close() }()
	data, err := io.ReadAll(io.LimitReader(object, maxTranscript))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", key, err)
	}
	if strings.HasSuffix(key, ".vtt") {
		return cueText(string(data)), nil
	}
	return string(data), nil
}

var cueTag = regexp.MustCompile(`<[^>]*>`)

// cueText returns the text of the cues of a WebVTT
// (https://www.w3.org/TR/webvtt1/#file-structure): of each block what stands after
// its times, without tags.
func cueText(vtt string) string {
	var out strings.Builder
	in := false // the text of a cue
	for line := range strings.Lines(strings.ReplaceAll(vtt, "\r", "\n")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			in = false
		case strings.Contains(line, "-->"):
			in = true
		case in:
			out.WriteString(cueTag.ReplaceAllString(line, " "))
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// transcriptWords returns the words of a text, each once, in their order.
func transcriptWords(text string) string {
	if len(text) > maxTranscript {
		text = text[:maxTranscript]
	}
	found := words(text)
	slices.Sort(found)
	return strings.Join(slices.Compact(found), " ")
}

// keepTranscript notes the words by which a video is found beside its own.
func keepTranscript(ctx context.Context, q *sqlc.Queries, videoID, found string) error {
	if found == "" {
		return q.ForgetTranscriptWords(ctx, videoID) // those of an earlier attempt
	}
	if err := q.SetTranscriptWords(ctx, sqlc.SetTranscriptWordsParams{VideoID: videoID, Words: found}); err != nil {
		return fmt.Errorf("noting the transcript of video %s: %w", videoID, err)
	}
	return nil
}

// withTranscript adds the words of a video's transcript to those of its own.
func withTranscript(ctx context.Context, q *sqlc.Queries, videoID, own string) (string, error) {
	said, err := q.TranscriptWords(ctx, videoID)
	if errors.Is(err, sql.ErrNoRows) {
		return own, nil
	}
	if err != nil {
		return "", err
	}
	all := strings.Fields(own + " " + said)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " "), nil
}

// transcriptURL is where a video's transcript is found, "" when there is none.
func transcriptURL(urls URLs, v sqlc.Video) string {
	if isTranscript(v.Transcript) {
		return vodFolder(urls, v.ID) + v.Transcript
	}
	return v.Transcript
}
