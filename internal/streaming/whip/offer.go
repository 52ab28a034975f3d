package whip

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

const supported = "this server takes H264, VP8, VP9, AV1 or H265 video and Opus audio"

// parseOffer reads what an offer can send; channel and protocol are left to the
// caller. Errors: errs.Invalid when it is no usable SDP, errs.Unsupported when it
// cannot become a broadcast.
func parseOffer(text string) (ingest.Offer, error) {
	var o ingest.Offer
	var desc sdp.SessionDescription
	if err := desc.UnmarshalString(text); err != nil {
		return o, &errs.Error{Code: errs.Invalid, Message: "the body is not an SDP offer (RFC 8866)", Err: err}
	}
	if !complete(&desc) {
		return o, errs.New(errs.Invalid, "the offer is not a complete WebRTC offer: it needs a=ice-ufrag, a=ice-pwd, a=fingerprint, and a=mid in each section")
	}
	videos, audios := 0, 0
	for _, m := range desc.MediaDescriptions {
		if !sends(m) {
			continue
		}
		names := codecsOf(m)
		switch m.MediaName.Media {
		case "video":
			videos++
			if o.Video = preferred(names); len(o.Video) == 0 {
				return o, unsupported("video", names)
			}
		case "audio":
			audios++
			if !slices.Contains(names, "opus") {
				return o, unsupported("audio", names)
			}
			// A track of two channels takes mono and stereo packets of Opus alike.
			o.Audio = &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: cmaf.OpusTimescale, Channels: 2}
		}
	}
	switch {
	case videos == 0 && audios == 0:
		return o, errs.New(errs.Invalid, "the offer sends nothing: it needs a video track, and may have an audio track (sendonly)")
	case videos == 0:
		return o, errs.New(errs.Unsupported, "the offer has no video track; "+supported+", and a broadcast needs video")
	case videos > 1 || audios > 1:
		return o, errs.New(errs.Unsupported, "the offer sends more than one video or audio track; one of each is taken (RFC 9725, 4.4)")
	}
	return o, nil
}

// complete says whether an offer has what a connection needs (RFC 9429, 5.2.1).
// The rest of its faults show when it is answered.
func complete(desc *sdp.SessionDescription) bool {
	for _, m := range desc.MediaDescriptions {
		if _, named := m.Attribute("mid"); !named {
			return false
		}
	}
	for _, key := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
		_, there := desc.Attribute(key)
		for _, m := range desc.MediaDescriptions {
			_, here := m.Attribute(key)
			there = there || here
		}
		if !there && len(desc.MediaDescriptions) > 0 {
			return false
		}
	}
	return true
}

// preferred returns the codecs of ours among names, in their order, but H264
// first: every player takes it as it is.
func preferred(names []string) []cmaf.VideoCodec {
	known := map[string]cmaf.VideoCodec{"h264": cmaf.H264, "h265": cmaf.H265, "vp8": cmaf.VP8, "vp9": cmaf.VP9, "av1": cmaf.AV1}
	var codecs []cmaf.VideoCodec
	for _, name := range names {
		switch codec := known[name]; codec {
		case 0:
		case cmaf.H264:
			codecs = slices.Insert(codecs, 0, codec)
		default:
			codecs = append(codecs, codec)
		}
	}
	return codecs
}

func unsupported(kind string, codecs []string) error {
	names := []string{}
	for _, name := range codecs {
		switch name {
		case "rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn":
		default:
			names = append(names, strings.ToUpper(name))
		}
	}
	if len(names) == 0 {
		names = append(names, "no codec")
	}
	return errs.Newf(errs.Unsupported, "the offer's %s is %s only; %s", kind, strings.Join(names, ", "), supported)
}

// sends says whether the offerer of a media section sends in it. A bundled one
// may have port 0 (RFC 9143, 6).
func sends(m *sdp.MediaDescription) bool {
	_, bundled := m.Attribute("bundle-only")
	if m.MediaName.Port.Value == 0 && !bundled {
		return false
	}
	for _, a := range m.Attributes {
		switch a.Key {
		case "sendrecv", "sendonly":
			return true
		case "recvonly", "inactive":
			return false
		}
	}
	return true
}

// codecsOf returns the encoding names of a media section in the order of its
// formats, each once, in lower case.
func codecsOf(m *sdp.MediaDescription) []string {
	byFormat := map[string]string{}
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		if format, encoding, ok := strings.Cut(a.Value, " "); ok {
			name, _, _ := strings.Cut(encoding, "/")
			byFormat[format] = strings.ToLower(strings.TrimSpace(name))
		}
	}
	var names []string
	for _, format := range m.MediaName.Formats {
		if name := byFormat[format]; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
