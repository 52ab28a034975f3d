package whip

import (
	"errors"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// receiveMTU is the largest packet that is read, in bytes.
const receiveMTU = 1600

// newPeer makes a peer connection that takes one video codec, with its feedback.
func newPeer(e *rtc.Engine, codec cmaf.VideoCodec) (*webrtc.PeerConnection, *feedback, error) {
	media := &webrtc.MediaEngine{}
	registry := &interceptor.Registry{}
	if err := errors.Join(registerCodecs(media, codec), registerFeedback(media)); err != nil {
		return nil, nil, err
	}
	said := newFeedback()
	registry.Add(said)
	peer, err := e.Peer(media, registry, webrtc.Configuration{}, nil)
	return peer, said, err
}
