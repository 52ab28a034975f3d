package whep

import (
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	maxSections = 16
	maxCodecs   = 256 // of one section
)

// offer is what a viewer can take.
type offer struct {
	video, audio *section // audio may be nil
	sdp          string   // for the peer connection
}

// section is a media section of an offer.
type section struct {
	codecs     []codec // the preferred one first
	extensions map[string]bool
}

// codec is one payload type of a section.
type codec struct {
	payload  uint8
	name     string // in upper case
	clock    uint32
	channels uint16
	line     string            // the format parameters as they are
	params   map[string]string // and taken apart, names in lower case
	feedback []string
	rtx      uint8 // payload type of its retransmissions (RFC 4588), 0: none
}

// parseOffer reads an offer. Errors: errs.Invalid when it is no usable SDP,
// errs.Unsupported when it asks for what is never sent.
func parseOffer(text string) (*offer, error) {
	var desc sdp.SessionDescription
	if err := desc.UnmarshalString(text); err != nil {
		return nil, &errs.Error{Code: errs.Invalid, Message: "the body is not an SDP offer (RFC 8866)", Err: err}
	}
	if len(desc.MediaDescriptions) > maxSections {
		return nil, errs.Newf(errs.Invalid, "the offer has more than %d media sections", maxSections)
	}
	o := &offer{}
	for _, m := range desc.MediaDescriptions {
		if err := o.add(m); err != nil {
			return nil, err
		}
	}
	if o.video == nil {
		return nil, errs.New(errs.Invalid, "the offer receives no video: it needs a video section, and may have an audio section (recvonly)")
	}
	// What is offered both ways is answered one way, so the viewer's own media
	// never comes (draft-ietf-wish-whep: an answer is sendonly).
	o.sdp = strings.ReplaceAll(text, "a=sendrecv", "a=recvonly")
	return o, nil
}

func (o *offer) add(m *sdp.MediaDescription) error {
	if m.MediaName.Port.Value == 0 {
		return nil // refused by the viewer itself
	}
	to := &o.video
	switch m.MediaName.Media {
	case "video":
	case "audio":
		to = &o.audio
	case "application":
		return errs.New(errs.Unsupported, "the offer has a data channel; this server sends media only")
	default:
		return nil
	}
	switch direction(m) {
	case "inactive":
		return nil
	case "sendonly":
		return errs.New(errs.Invalid, "the offer sends media; a viewer's offer is recvonly")
	}
	if *to != nil {
		return errs.New(errs.Unsupported, "the offer has more than one video or audio section; one of each is sent")
	}
	s, err := newSection(m)
	*to = s
	return err
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

// newSection reads the attributes of a media section (RFC 8866, section 6).
func newSection(m *sdp.MediaDescription) (*section, error) {
	s := &section{extensions: map[string]bool{}}
	byPayload := map[uint8]*codec{}
	if len(m.MediaName.Formats) > maxCodecs {
		return nil, errs.Newf(errs.Invalid, "a section of the offer has more than %d codecs", maxCodecs)
	}
	for _, format := range m.MediaName.Formats {
		if n, err := strconv.ParseUint(format, 10, 7); err == nil && byPayload[uint8(n)] == nil {
			byPayload[uint8(n)] = &codec{payload: uint8(n), params: map[string]string{}}
		}
	}
	for _, a := range m.Attributes {
		subject, value, _ := strings.Cut(a.Value, " ")
		if a.Key == "extmap" {
			uri, _, _ := strings.Cut(value, " ")
			s.extensions[uri] = true
			continue
		}
		for _, c := range addressed(byPayload, a.Key, subject) {
			c.attribute(a.Key, value)
		}
	}
	for _, c := range byPayload {
		if c.name == "RTX" {
			if apt, err := strconv.ParseUint(c.params["apt"], 10, 7); err == nil && byPayload[uint8(apt)] != nil {
				byPayload[uint8(apt)].rtx = c.payload
			}
		}
	}
	for _, format := range m.MediaName.Formats {
		n, err := strconv.ParseUint(format, 10, 7)
		if c := byPayload[uint8(n)]; err == nil && c != nil && c.name != "" && c.clock > 0 {
			s.codecs = append(s.codecs, *c)
			delete(byPayload, uint8(n))
		}
	}
	return s, nil
}

// addressed returns the codecs that an attribute is about.
func addressed(codecs map[uint8]*codec, key, subject string) []*codec {
	if key == "rtcp-fb" && subject == "*" {
		all := make([]*codec, 0, len(codecs))
		for _, c := range codecs {
			all = append(all, c)
		}
		return all
	}
	n, err := strconv.ParseUint(subject, 10, 7)
	if c := codecs[uint8(n)]; err == nil && c != nil {
		return []*codec{c}
	}
	return nil
}

func (c *codec) attribute(key, value string) {
	switch key {
	case "rtpmap":
		parts := strings.Split(strings.TrimSpace(value), "/")
		if len(parts) < 2 {
			return
		}
		clock, err := strconv.ParseUint(parts[1], 10, 32)
		if err != nil {
			return
		}
		c.name, c.clock = strings.ToUpper(parts[0]), uint32(clock)
		if len(parts) > 2 {
			channels, _ := strconv.ParseUint(parts[2], 10, 16)
			c.channels = uint16(channels)
		}
	case "fmtp":
		c.line = value
		for param := range strings.SplitSeq(value, ";") {
			name, v, _ := strings.Cut(strings.TrimSpace(param), "=")
			c.params[strings.ToLower(name)] = v
		}
	case "rtcp-fb":
		if len(c.feedback) < 16 {
			c.feedback = append(c.feedback, strings.TrimSpace(value))
		}
	}
}
