package whip

import (
	"errors"

	"github.com/pion/rtp/codecs"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// vp8 is VP8 in RTP (RFC 7741).
type vp8 struct {
	descriptor codecs.VP8Packet
	frame      []byte // its buffer is used again
	last       cmaf.VideoConfig
	lastErr    error
}

// starts says whether a payload is the first of its frame: the start of the
// first partition (RFC 7741, 4.2).
func (v *vp8) starts() bool { return v.descriptor.S == 1 && v.descriptor.PID == 0 }

func (v *vp8) begins(p []byte) bool {
	_, err := v.descriptor.Unmarshal(p)
	return err == nil && v.starts()
}

func (v *vp8) reset() { v.frame = v.frame[:0] }

func (v *vp8) add(p []byte) error {
	data, err := v.descriptor.Unmarshal(p)
	if err != nil {
		return errors.New("a VP8 packet ends inside its payload descriptor")
	}
	switch {
	case v.starts() && len(v.frame) > 0:
		return errors.New("two VP8 frames have the same timestamp")
	case !v.starts() && len(v.frame) == 0:
		return errors.New("a VP8 frame whose beginning is missing")
	case len(v.frame)+len(data) > maxAccessUnit:
		return errTooLarge
	}
	v.frame = append(v.frame, data...)
	return nil
}

func (v *vp8) finish() (picture, error) {
	p := picture{data: v.frame, key: len(v.frame) > 0 && v.frame[0]&1 == 0} // RFC 6386, 9.1
	if p.key {
		v.last, v.lastErr = cmaf.ParseVP8(p.data)
	}
	v.reset()
	return p, nil
}

func (v *vp8) config() (cmaf.VideoConfig, error) { return v.last, v.lastErr }
