package whip

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const supported = "this server takes H264 video and Opus audio"

// checkOffer refuses an offer that cannot become a broadcast, and says whether
// it has audio. Errors: errs.Invalid when it is no usable SDP, errs.Unsupported
// when its codecs are not ours.
func checkOffer(text string) (audio bool, err error) {
	var desc sdp.SessionDescription
	if err := desc.UnmarshalString(text); err != nil {
		return false, &errs.Error{Code: errs.Invalid, Message: "the body is not an SDP offer (RFC 8866)", Err: err}
	}
	videos, audios := 0, 0
	for _, m := range desc.MediaDescriptions {
		if direction(m) == "recvonly" || direction(m) == "inactive" || m.MediaName.Port.Value == 0 {
			continue
		}
		codecs := codecsOf(m)
		switch m.MediaName.Media {
		case "video":
			videos++
			if !codecs["h264"] {
				return false, unsupported("video", codecs)
			}
		case "audio":
			audios++
			if !codecs["opus"] {
				return false, unsupported("audio", codecs)
			}
		}
	}
	switch {
	case videos == 0 && audios == 0:
		return false, errs.New(errs.Invalid, "the offer sends nothing: it needs a video track, and may have an audio track (sendonly)")
	case videos == 0:
		return false, errs.New(errs.Unsupported, "the offer has no video track; "+supported+", and a broadcast needs video")
	case videos > 1 || audios > 1:
		return false, errs.New(errs.Unsupported, "the offer sends more than one video or audio track; one of each is taken (RFC 9725, 4.4)")
	}
	return audios == 1, nil
}

func unsupported(kind string, codecs map[string]bool) error {
	names := []string{}
	for name := range codecs {
		switch name {
		case "rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn":
		default:
			names = append(names, strings.ToUpper(name))
		}
	}
	if len(names) == 0 {
		names = append(names, "no codec")
	}
	slices.Sort(names)
	return errs.Newf(errs.Unsupported, "the offer's %s is %s only; %s", kind, strings.Join(names, ", "), supported)
}

func direction(m *sdp.MediaDescription) string {
	for _, a := range m.Attributes {
		switch a.Key {
		case "sendrecv", "sendonly", "recvonly", "inactive":
			return a.Key
		}
	}
	return "sendrecv"
}

// codecsOf returns the encoding names of a media section, in lower case.
func codecsOf(m *sdp.MediaDescription) map[string]bool {
	codecs := map[string]bool{}
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		if _, encoding, ok := strings.Cut(a.Value, " "); ok {
			name, _, _ := strings.Cut(encoding, "/")
			codecs[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	return codecs
}
