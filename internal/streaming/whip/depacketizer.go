package whip

import (
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// maxAccessUnit is far above a key frame at 20 Mbit/s.
const maxAccessUnit = 4 << 20 // bytes

var errTooLarge = errors.New("an access unit of more than 4 MiB")

// payloads is how the pictures of a codec are cut into RTP payloads.
type payloads interface {
	// begins says whether a payload is surely the first of its picture.
	begins(payload []byte) bool
	// add takes the next payload of a picture. It keeps nothing of it.
	add(payload []byte) error
	// finish returns the picture that has been added and forgets it. Data is
	// empty when there was none, and valid until the next add. An error says that
	// its end is missing.
	finish() (picture, error)
	// reset forgets the unfinished picture.
	reset()
	// config is what decodes the key frame that finish returned last. An error
	// says that it did not bring what a decoder needs.
	config() (cmaf.VideoConfig, error)
}

// picture is one access unit.
type picture struct {
	data []byte // in the form of a cmaf.Sample
	key  bool
}

// payloadsOf returns the RTP payload format of a codec.
func payloadsOf(codec cmaf.VideoCodec) (payloads, error) {
	switch codec {
	case cmaf.H264:
		return &h264{}, nil
	case cmaf.H265:
		return &h265{}, nil
	case cmaf.VP8:
		return &vp8{}, nil
	case cmaf.VP9:
		return &vp9{}, nil
	case cmaf.AV1:
		return &av1{}, nil
	}
	return nil, fmt.Errorf("no RTP payload format for %s", codec)
}

// accessUnit is a picture with its time.
type accessUnit struct {
	picture
	timestamp uint32
}

// depacketizer collects RTP payloads into whole access units. One with a part
// missing never leaves it.
type depacketizer struct {
	format payloads

	begun     bool
	timestamp uint32 // of the unfinished access unit

	whole     bool // false: packets are missing, the rest of their access unit is skipped
	skipping  bool
	skippedAt uint32 // timestamp of what is skipped
}

// push takes the payload of the next packet in order and passes the access units
// that are complete with it to done: none, one, or two when a marker was missing.
// The data of one is valid during the call. It returns false when something was
// missing or wrong.
func (d *depacketizer) push(payload []byte, timestamp uint32, marker bool, done func(accessUnit)) error {
	var failed error
	if d.begun && timestamp != d.timestamp {
		failed = d.finish(done) // its marker was missing
	}
	if d.skips(payload, timestamp) {
		return failed
	}
	d.begun, d.timestamp = true, timestamp
	if len(payload) > 0 { // else padding only, sent to probe the bandwidth
		if err := d.format.add(payload); err != nil {
			d.lost()
			d.skipping, d.skippedAt = true, timestamp
			return err
		}
	}
	if marker {
		return errors.Join(failed, d.finish(done))
	}
	return failed
}

// lost forgets the unfinished access unit and all that is still to come of it.
func (d *depacketizer) lost() {
	d.format.reset()
	d.begun, d.whole, d.skipping = false, false, false
}

// skips says whether a packet belongs to an access unit whose beginning is
// missing: all do, up to a new timestamp or a visible beginning. So do those at
// the very start, because what was before the first packet is not known.
func (d *depacketizer) skips(payload []byte, timestamp uint32) bool {
	if d.whole {
		return false
	}
	if !d.format.begins(payload) && (!d.skipping || d.skippedAt == timestamp) {
		d.skipping, d.skippedAt = true, timestamp
		return true
	}
	d.whole, d.skipping = true, false
	return false
}

func (d *depacketizer) finish(done func(accessUnit)) error {
	d.begun = false
	p, err := d.format.finish()
	if err != nil {
		d.format.reset()
		return err
	}
	if len(p.data) > 0 {
		done(accessUnit{picture: p, timestamp: d.timestamp})
	}
	return nil
}
