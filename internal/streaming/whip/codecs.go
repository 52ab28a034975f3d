package whip

import (
	"errors"
	"fmt"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// mimeType is the name of a codec in SDP, with the kind before it.
func mimeType(codec cmaf.VideoCodec) string {
	switch codec {
	case cmaf.H264:
		return webrtc.MimeTypeH264
	case cmaf.H265:
		return webrtc.MimeTypeH265
	case cmaf.VP8:
		return webrtc.MimeTypeVP8
	case cmaf.VP9:
		return webrtc.MimeTypeVP9
	case cmaf.AV1:
		return webrtc.MimeTypeAV1
	}
	return ""
}

// formats returns the format parameters under which a codec is taken. The
// answer repeats the publisher's own.
func formats(codec cmaf.VideoCodec) []string {
	switch codec {
	case cmaf.H264:
		// Constrained baseline, baseline, main and high (RFC 6184, 8.1).
		profiles := []string{"42e01f", "42c01f", "42001f", "4d001f", "4d401f", "64001f", "640c1f"}
		var lines []string
		for _, mode := range []int{1, 0} {
			for _, profile := range profiles {
				lines = append(lines, fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", mode, profile))
			}
		}
		return lines
	case cmaf.H265:
		return []string{"level-id=153;profile-id=1;tier-flag=0;tx-mode=SRST"} // main (RFC 7798, 7.1)
	case cmaf.VP9:
		return []string{"profile-id=0", "profile-id=2"} // 8 and 10 bit, 4:2:0 (RFC 9628, 7)
	case cmaf.AV1:
		return []string{"profile=0"} // main
	}
	return []string{""}
}

// registerCodecs registers Opus and one video codec, with retransmission.
func registerCodecs(media *webrtc.MediaEngine, codec cmaf.VideoCodec) error {
	err := media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			SDPFmtpLine: "minptime=10;useinbandfec=1;stereo=1",
		},
		PayloadType: 127,
	}, webrtc.RTPCodecTypeAudio)
	payload := webrtc.PayloadType(96)
	for _, line := range formats(codec) {
		video := webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: mimeType(codec), ClockRate: 90000, SDPFmtpLine: line,
				RTCPFeedback: []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}},
			},
			PayloadType: payload,
		}
		rtx := webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", payload)},
			PayloadType:        payload + 1,
		}
		err = errors.Join(err, media.RegisterCodec(video, webrtc.RTPCodecTypeVideo), media.RegisterCodec(rtx, webrtc.RTPCodecTypeVideo))
		payload += 2
	}
	return err
}

// registerFeedback registers the feedback and the header extensions that the answer
// accepts. What is not registered is not accepted, above all not
// urn:3gpp:video-orientation: a browser without it rotates the pixels itself.
func registerFeedback(media *webrtc.MediaEngine) error {
	media.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack"}, webrtc.RTPCodecTypeVideo)
	media.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack", Parameter: "pli"}, webrtc.RTPCodecTypeVideo)
	var err error
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		media.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}, kind)
		for _, uri := range []string{sdp.TransportCCURI, sdp.SDESMidURI} {
			err = errors.Join(err, media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind))
		}
	}
	return err
}
