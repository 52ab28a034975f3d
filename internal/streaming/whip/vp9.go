package whip

import (
	"errors"
	"fmt"

	"github.com/pion/rtp/codecs"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

const maxVP9Frames = 8 // of a superframe

// vp9 is VP9 in RTP (RFC 9628), flexible mode or not. The spatial layers of a
// picture become one superframe.
type vp9 struct {
	data    []byte // of the picture; its buffer is used again
	frames  []int  // where the layer frames begin in data
	last    cmaf.VideoConfig
	lastErr error
}

// vp9Descriptor reads a payload descriptor. The library's type adds to what it
// read before, so each packet gets its own.
func vp9Descriptor(p []byte) (codecs.VP9Packet, error) {
	var d codecs.VP9Packet
	if _, err := d.Unmarshal(p); err != nil {
		return d, errors.New("a VP9 packet ends inside its payload descriptor")
	}
	return d, nil
}

func (v *vp9) begins(p []byte) bool {
	d, err := vp9Descriptor(p)
	return err == nil && d.B && d.SID == 0
}

func (v *vp9) reset() { v.data, v.frames = v.data[:0], v.frames[:0] }

func (v *vp9) add(p []byte) error {
	d, err := vp9Descriptor(p)
	switch {
	case err != nil:
		return err
	case d.B && d.SID == 0 && len(v.frames) > 0:
		return errors.New("two VP9 pictures have the same timestamp")
	case !d.B && len(v.frames) == 0:
		return errors.New("a VP9 frame whose beginning is missing")
	case d.B && len(v.frames) == maxVP9Frames:
		return fmt.Errorf("a VP9 picture of more than %d frames", maxVP9Frames)
	case len(v.data)+len(d.Payload) > maxAccessUnit:
		return errTooLarge
	}
	if d.B {
		v.frames = append(v.frames, len(v.data))
	}
	v.data = append(v.data, d.Payload...)
	return nil
}

func (v *vp9) finish() (picture, error) {
	if len(v.frames) > 1 {
		v.index()
	}
	p := picture{data: v.data, key: vp9Key(v.data)}
	if p.key {
		v.last, v.lastErr = cmaf.ParseVP9(p.data)
	}
	v.reset()
	return p, nil
}

// index appends a superframe index (VP9 bitstream specification, annex B.3),
// without which a decoder finds the first frame only.
func (v *vp9) index() {
	end := len(v.data)
	marker := byte(0xc0 | 3<<3 | (len(v.frames) - 1)) // sizes of 4 bytes
	v.data = append(v.data, marker)
	for i, start := range v.frames {
		next := end
		if i+1 < len(v.frames) {
			next = v.frames[i+1]
		}
		n := next - start
		v.data = append(v.data, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	v.data = append(v.data, marker)
}

func (v *vp9) config() (cmaf.VideoConfig, error) { return v.last, v.lastErr }

// vp9Key tells whether a frame is a key frame that is shown (VP9 bitstream
// specification, 6.2: uncompressed_header).
func vp9Key(frame []byte) bool {
	if len(frame) == 0 || frame[0]>>6 != 2 { // frame_marker
		return false
	}
	bits := frame[0] << 4 // after the profile
	if frame[0]>>4&3 == 3 {
		bits <<= 1 // reserved_zero of profile 3
	}
	// show_existing_frame, frame_type (0: key), show_frame
	return bits>>5 == 1
}
