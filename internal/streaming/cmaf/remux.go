package cmaf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Source is a stored media segment of a recording.
type Source interface {
	// Init returns the init segment that belongs to it.
	Init(ctx context.Context) ([]byte, error)
	// Open opens the segment. It is opened twice in the course of Remux, and
	// few are open or in memory at a time.
	Open(ctx context.Context) (io.ReadSeekCloser, error)
}

// Info describes a file that Remux wrote.
type Info struct {
	DurationMS    int64
	Width, Height int      // pixels, of the largest picture; 0 without video
	Codecs        []string // RFC 6381, video first
	VideoSamples  int
	VideoEntries  int // sample entries of the video
	AudioSamples  int
	Size          int64 // bytes
}

// Remux writes the segments of a recording, in order, as one progressive MP4
// to w: moov first, so that it plays while it downloads, samples copied
// unchanged. It reads the headers of all segments, then copies their media;
// memory grows by some 20 bytes a sample and by three segments.
//
// audio, unless it is empty, is the segments of an audio rendition that was
// recorded beside the video, on the same timeline; then audio in the video
// segments is left out.
//
// The timeline is one and without holes: where a segment does not go on where
// the last one ended (a reconnect, a restart, a lost segment) it is moved
// there, video and audio together. The first picture or sound is presented at
// 0, with B-frames too. Every parameter set has its own sample entry. When there
// is more than one, key frames carry theirs in-band too, all of them: Chromium
// heeds neither a change of entry nor, after a seek back, the first one. The
// codecs and the audio's sample rate may not change.
//
// progress, which may be nil, hears of bytes written out of all, from the
// moment that the headers have been read. Remux stops with ctx's error.
func Remux(ctx context.Context, w io.Writer, video, audio []Source, progress func(done, total int64)) (Info, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	return remux(ctx, w, video, audio, progress, maxNarrow)
}

// maxNarrow is the most media whose places 32 bits can tell, the tables before
// it not counted.
const maxNarrow = math.MaxUint32

// remux is Remux with 64-bit places in files with more than narrow bytes.
func remux(ctx context.Context, w io.Writer, video, audio []Source, progress func(done, total int64), narrow int64) (Info, error) {
	plan := newRemuxPlan()
	if err := plan.readAll(ctx, video, audio); err != nil {
		return Info{}, err
	}
	if err := plan.finish(); err != nil {
		return Info{}, err
	}
	head := plan.header(narrow)
	total := int64(len(head)) + plan.mediaSize
	out := bufio.NewWriterSize(w, 256<<10)
	if _, err := out.Write(head); err != nil {
		return Info{}, err
	}
	done := int64(len(head))
	progress(done, total)
	payload := payloads{sources: slices.Concat(video, audio)}
	for _, c := range plan.order {
		if err := ctx.Err(); err != nil {
			return Info{}, err
		}
		if err := plan.copyChunk(ctx, out, &payload, c); err != nil {
			return Info{}, err
		}
		done += c.size
		progress(done, total)
	}
	if err := out.Flush(); err != nil {
		return Info{}, err
	}
	return plan.info(total), nil
}

// copyChunk writes the pieces of a chunk.
func (p *remuxPlan) copyChunk(ctx context.Context, out io.Writer, payload *payloads, c *chunk) error {
	for _, piece := range c.pieces {
		if piece.source < 0 {
			if _, err := out.Write(p.inBand[piece.offset]); err != nil {
				return err
			}
			continue
		}
		data, err := payload.get(ctx, piece)
		if err != nil {
			return fmt.Errorf("segment %d of %d: %w", piece.source+1, len(payload.sources), err)
		}
		if _, err := out.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// payloads holds the last few segments in memory. The chunks of the file need
// them nearly in order, audio and video a little apart.
type payloads struct {
	sources []Source
	held    [3]heldSegment
	uses    int
}

type heldSegment struct {
	number int // of the source, counted from 1; 0: none
	used   int // when, in uses
	data   []byte
}

// get returns the bytes of a piece, valid until the next call.
func (p *payloads) get(ctx context.Context, piece piece) ([]byte, error) {
	slot := &p.held[0]
	for i := range p.held {
		if p.held[i].number == piece.source+1 {
			slot = &p.held[i]
			break
		}
		if p.held[i].used < slot.used {
			slot = &p.held[i]
		}
	}
	if slot.number != piece.source+1 {
		slot.number = 0
		if err := slot.load(ctx, p.sources[piece.source]); err != nil {
			return nil, err
		}
		slot.number = piece.source + 1
	}
	p.uses++
	slot.used = p.uses
	if piece.offset+piece.size > int64(len(slot.data)) {
		return nil, errors.New("it became shorter while it was copied")
	}
	return slot.data[piece.offset : piece.offset+piece.size], nil
}

func (h *heldSegment) load(ctx context.Context, source Source) error {
	r, err := source.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size > maxSegment {
		return fmt.Errorf("the segment has %d bytes, at most %d are read", size, maxSegment)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if int64(cap(h.data)) < size {
		h.data = make([]byte, size+size/4)
	}
	h.data = h.data[:size]
	_, err = io.ReadFull(r, h.data)
	return err
}
