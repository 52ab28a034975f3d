package live

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// state is the playlists at one moment. Each is rendered and compressed once,
// when somebody first wants it.
type state struct {
	media       hls.Media
	master      *hls.Multivariant
	full, delta rendered
}

// body is a playlist as it goes out.
type body struct{ plain, gzipped []byte }

type rendered struct {
	once sync.Once
	body body
}

func (r *rendered) get(render func([]byte) []byte) *body {
	r.once.Do(func() { r.body = compress(render(nil)) })
	return &r.body
}

// playlist returns the media playlist, or its delta update.
func (s *state) playlist(delta bool) *body {
	if delta {
		return s.delta.get(s.media.AppendDelta)
	}
	return s.full.get(s.media.AppendTo)
}

func compress(plain []byte) body {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return body{plain: plain}
	}
	_, err = z.Write(plain)
	if err != nil || z.Close() != nil {
		return body{plain: plain}
	}
	return body{plain: plain, gzipped: buf.Bytes()}
}
