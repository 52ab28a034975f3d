package hlstest

import (
	"net/http"
	"testing"
	"time"
)

// answer is a good one; edits are header fields and values, in pairs.
func answer(asked Asked, edits ...string) Answer {
	a := Answer{Asked: asked, URL: "http://h/x", Status: 200, Proto: 1, Live: true, TargetDuration: 4 * time.Second, Header: http.Header{}}
	a.Header.Set("Access-Control-Allow-Origin", "*")
	switch asked {
	case ForPlaylist, ForBlocking:
		a.Header.Set("Content-Type", "application/vnd.apple.mpegurl")
		a.Header.Set("Content-Encoding", "gzip")
		a.Header.Set("Vary", "Origin, Accept-Encoding")
		a.Header.Set("Cache-Control", "public, max-age=1")
		if asked == ForBlocking {
			a.Header.Set("Cache-Control", "public, max-age=60")
		}
	case ForMedia, ForHint, ForOldPart:
		a.Header.Set("Content-Type", "video/mp4")
		a.Header.Set("Cache-Control", "public, max-age=31536000, immutable")
	default:
		a.Status = 400
		if asked == ForUnknown {
			a.Status = 404
		}
		a.Header.Set("Cache-Control", "no-store")
	}
	for i := 0; i < len(edits); i += 2 {
		if edits[i+1] == "" {
			a.Header.Del(edits[i])
		} else {
			a.Header.Set(edits[i], edits[i+1])
		}
	}
	return a
}

// refused is the answer with an error instead.
func refused(a Answer, status int) Answer {
	a.Status = status
	a.Header.Set("Cache-Control", "no-store")
	return a
}

func TestGoodAnswers(t *testing.T) {
	for asked := ForPlaylist; asked <= ForUnknown; asked++ {
		good(t, "an answer", CheckAnswer(answer(asked)))
	}
	good(t, "a hint that came to nothing", CheckAnswer(refused(answer(ForHint), 404)))
	tls := answer(ForMedia)
	tls.TLS, tls.Proto = true, 2
	good(t, "over TLS", CheckAnswer(tls))
	recording := answer(ForMedia, "Cache-Control", "private, no-cache")
	recording.Live = false
	good(t, "a recording", CheckAnswer(recording))
	for _, asked := range []place{{2, 1}, {2, 0}, {1, -1}, {0, 9}} {
		good(t, "what was asked for", CheckBlocked([]byte(live), asked.msn, asked.part))
	}
	good(t, "an ended playlist", CheckBlocked([]byte(endedLive), 99, 1))
	good(t, "a segment of a recording", CheckBlocked([]byte(vod), 1, -1))
	good(t, "directives after the end", CheckEnded(answer(ForBlocking), []byte(endedLive)))
}

func badAnswers() []knownBad {
	of := func(rule, name string, a Answer) knownBad { return knownBad{rule, name, CheckAnswer(a)} }
	status := func(asked Asked, status int) Answer {
		a := answer(asked)
		a.Status = status
		return a
	}
	redirected, plain := answer(ForMedia), answer(ForMedia)
	redirected.Redirected = true
	plain.TLS = true
	return []knownBad{
		of("http-status", "404", refused(answer(ForMedia), 404)),
		of("http-status", "playlist", refused(answer(ForPlaylist), 503)),
		of("http-playlist-type", "text", answer(ForPlaylist, "Content-Type", "text/plain")),
		of("http-media-type", "octets", answer(ForMedia, "Content-Type", "application/octet-stream")),
		of("apple-10.1", "plain", answer(ForBlocking, "Content-Encoding", "")),
		of("apple-10.1", "no Vary", answer(ForPlaylist, "Vary", "")),
		of("http-media-plain", "gzip", answer(ForMedia, "Content-Encoding", "gzip")),
		of("http-cache-media", "short", answer(ForMedia, "Cache-Control", "max-age=20, immutable")),
		of("http-cache-media", "not immutable", answer(ForHint, "Cache-Control", "max-age=60")),
		of("http-cache-blocking", "short", answer(ForBlocking, "Cache-Control", "max-age=23")),
		of("http-cache-plain", "long", answer(ForPlaylist, "Cache-Control", "max-age=3")),
		of("http-cache-plain", "not told", answer(ForPlaylist, "Cache-Control", "")),
		of("http-cache-error", "kept", answer(ForUnknown, "Cache-Control", "max-age=1")),
		of("http-cors", "missing", answer(ForMedia, "Access-Control-Allow-Origin", "")),
		of("apple-8.18", "redirected", redirected),
		of("http-2", "HTTP/1.1 over TLS", plain),
		of("http-block", "503", refused(answer(ForBlocking), 503)),
		of("http-hold", "503", refused(answer(ForHint), 503)),
		of("http-part-after", "404", refused(answer(ForOldPart), 404)),
		of("http-msn-far", "answered", status(ForFarMSN, 200)),
		of("http-msn-far", "held", status(ForFarMSN, 503)),
		of("http-part-far", "answered", status(ForFarPart, 200)),
		of("http-part-alone", "answered", status(ForPartAlone, 200)),
		of("http-unknown", "answered", status(ForUnknown, 200)),
		{"http-block", "too early", CheckBlocked([]byte(live), 2, 2)},
		{"http-block", "segment not complete", CheckBlocked([]byte(live), 2, -1)},
		{"http-ended", "refused", CheckEnded(status(ForBlocking, 400), nil)},
		{"http-ended", "a delta update", CheckEnded(answer(ForBlocking), []byte(edit(endedLive, discLine, discLine+"#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n")))},
	}
}
