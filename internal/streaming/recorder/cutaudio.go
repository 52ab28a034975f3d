package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// CutAudioInit returns an init segment with the video track of another alone.
func CutAudioInit(init []byte) ([]byte, error) {
	parsed, err := cmaf.ParseInit(init)
	if err != nil {
		return nil, err
	}
	if parsed.Video == nil {
		return nil, errors.New("the init segment has no video track")
	}
	return cmaf.Init{Video: parsed.Video}.Marshal(), nil
}

// CutAudio writes a stored segment without its sound. Fragments that have
// nothing else are left out; boxes beside the fragments, such as emsg, stay
// where they are. It holds one fragment in memory.
//
// A variant that refers to a group of sound must not bring its own: hls.js
// makes one source buffer for muxed segments, and cannot add another beside it.
func CutAudio(dst io.Writer, segment io.ReadSeeker) error {
	fragments, err := cmaf.ReadSegment(segment)
	if err != nil {
		return err
	}
	end, err := segment.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var buf []byte
	for at := int64(0); at < end; {
		kind, size, err := boxAt(segment, at, end)
		if err != nil {
			return err
		}
		switch kind {
		case "moof": // ReadSegment counts them alike
			if len(fragments) == 0 {
				return errors.New("the segment has changed while it was read")
			}
			buf, err = appendVideo(buf[:0], segment, fragments[0])
			fragments = fragments[1:]
		case "mdat":
			buf = buf[:0]
		default:
			buf, err = appendBytes(buf[:0], segment, at, size)
		}
		if err != nil {
			return err
		}
		if _, err := dst.Write(buf); err != nil {
			return err
		}
		at += size
	}
	return nil
}

// maxBox is how large a box beside the fragments may be.
const maxBox = 1 << 20

// boxAt reads the header of the box at a place (ISO 14496-12, 4.2).
func boxAt(r io.ReadSeeker, at, end int64) (kind string, size int64, err error) {
	var h [16]byte
	n := min(int64(len(h)), end-at)
	if _, err := r.Seek(at, io.SeekStart); err != nil {
		return "", 0, err
	}
	if _, err := io.ReadFull(r, h[:n]); err != nil {
		return "", 0, err
	}
	size, kind = int64(binary.BigEndian.Uint32(h[:])), string(h[4:8])
	if size == 1 {
		size = int64(binary.BigEndian.Uint64(h[8:]))
	}
	if size < 8 || size > end-at || kind != "moof" && kind != "mdat" && size > maxBox {
		return "", 0, fmt.Errorf("a box %q at %d says it has %d bytes", kind, at, size)
	}
	return kind, size, nil
}

// appendVideo appends the fragment's video as a fragment of its own; nothing if
// it has none.
func appendVideo(dst []byte, r io.ReadSeeker, info cmaf.FragmentInfo) ([]byte, error) {
	run := info.Video
	if run == nil {
		return dst, nil
	}
	first, end := run.Samples[0].Offset, int64(0)
	for _, s := range run.Samples {
		first, end = min(first, s.Offset), max(end, s.Offset+int64(s.Size))
	}
	data, err := appendBytes(nil, r, first, end-first)
	if err != nil {
		return dst, err
	}
	f := cmaf.Fragment{Sequence: info.Sequence, Video: &cmaf.Run{BaseTime: run.BaseTime, Samples: make([]cmaf.Sample, len(run.Samples))}}
	for i, s := range run.Samples {
		f.Video.Samples[i] = cmaf.Sample{
			Duration: s.Duration, CompositionOffset: s.CompositionOffset, Key: s.Key,
			Data: data[s.Offset-first : s.Offset-first+int64(s.Size)],
		}
	}
	return f.AppendTo(dst), nil
}

func appendBytes(dst []byte, r io.ReadSeeker, at, size int64) ([]byte, error) {
	if _, err := r.Seek(at, io.SeekStart); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, make([]byte, size)...)
	_, err := io.ReadFull(r, dst[start:])
	return dst, err
}

// ReadVideoOnly returns the stored segment or init segment of a key without
// its sound, and what the store says of it. Errors: errs.NotFound.
func ReadVideoOnly(ctx context.Context, store blob.Store, key string) ([]byte, blob.Info, error) {
	if isInit(key) {
		data, info, err := readAll(ctx, store, key)
		if err != nil {
			return nil, info, err
		}
		if data, err = CutAudioInit(data); err != nil {
			return nil, info, fmt.Errorf("%s: %w", key, err)
		}
		return data, info, nil
	}
	o, err := store.Open(ctx, key)
	if err != nil {
		return nil, blob.Info{}, err
	}
	defer func() { _ = o.Close() }() // it was only read
	var buf bytes.Buffer
	if err := CutAudio(&buf, o); err != nil {
		return nil, o.Info, fmt.Errorf("%s: %w", key, err)
	}
	return buf.Bytes(), o.Info, nil
}
