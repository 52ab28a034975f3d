package rtmp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/amf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

// data takes a data message. Of metadata it matters only whether there will be
// audio; the rest, and what cannot be read, is ignored.
func (s *session) data(payload []byte) {
	if s.take == nil {
		return
	}
	values, _ := amf.Read(payload)
	if len(values) > 0 && values[0] == "@setDataFrame" {
		values = values[1:]
	}
	if len(values) < 2 || values[0] != "onMetaData" {
		return
	}
	if properties, ok := values[1].(amf.Object); ok {
		s.take.announced = announcesAudio(properties)
	}
}

// announcesAudio reads what encoders write: the codec as its number in FLV, as a
// four-character code, or as such a code's number.
func announcesAudio(properties amf.Object) bool {
	switch codec := properties.Get("audiocodecid").(type) {
	case float64:
		return codec != 0
	case string:
		return codec != ""
	}
	return properties.Number("audiosamplerate") > 0
}

// aggregate takes a message of several, in the form of FLV tags (section 7.1.6).
// Their timestamps count from that of the first.
func (s *session) aggregate(ctx context.Context, m chunk.Message) error {
	const header, trailer = 11, 4
	first := true
	var zero uint32
	for left := m.Payload; len(left) > 0; {
		if len(left) < header {
			return errors.New("an aggregate message ends within a tag")
		}
		size := int(binary.BigEndian.Uint32(left) & 0xffffff)
		timestamp := binary.BigEndian.Uint32(left[4:])>>8 | uint32(left[7])<<24
		kind := left[0]
		if left = left[header:]; size > len(left) {
			return fmt.Errorf("an aggregate message has a tag of %d bytes where %d are left", size, len(left))
		}
		if first {
			first, zero = false, timestamp
		}
		if kind == chunk.Audio || kind == chunk.Video {
			one := chunk.Message{Type: kind, StreamID: m.StreamID, Timestamp: m.Timestamp + timestamp - zero, Payload: left[:size:size]}
			if err := s.media(ctx, one); err != nil {
				return err
			}
			if s.take == nil {
				return nil
			}
		}
		left = left[min(size+trailer, len(left)):]
	}
	return nil
}
