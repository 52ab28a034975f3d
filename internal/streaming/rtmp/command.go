package rtmp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/amf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

const (
	maxStreams = 16  // message streams of one connection; encoders make one
	maxKey     = 256 // characters
	appName    = "live"
	// The window after which a client wants to hear that its bytes came.
	minWindow, maxWindow = 64 << 10, 64 << 20
)

// Codes of onStatus. Denied and Rejected are those that OBS and GStreamer know
// to be final.
const (
	codeStart     = "NetStream.Publish.Start"
	codeDenied    = "NetStream.Publish.Denied"
	codeBadName   = "NetStream.Publish.BadName"
	codeRejected  = "NetStream.Publish.Rejected"
	codeUnpublish = "NetStream.Unpublish.Success"
	codeNoPlay    = "NetStream.Play.Failed"
	codeFailed    = "NetStream.Failed"
)

// refusal ends a connection with words to the client, or without a code: with
// words for the log.
type refusal struct {
	code, message string
	err           error
}

func (r refusal) Error() string { return r.message }
func (r refusal) Unwrap() error { return r.err }

// refuse makes a refusal of what the host or the keys say.
func refuse(err error) refusal {
	r := refusal{code: codeRejected, message: errs.MessageOf(err), err: err}
	switch errs.CodeOf(err) {
	case errs.NotFound, errs.Unauthenticated, errs.Forbidden:
		r.code = codeDenied
	case errs.Conflict:
		r.code = codeBadName
	}
	return r
}

// message handles one message.
func (s *session) message(ctx context.Context, m chunk.Message) error {
	switch m.Type {
	case chunk.Audio, chunk.Video:
		return s.media(ctx, m)
	case chunk.Aggregate:
		return s.aggregate(ctx, m)
	case chunk.WindowAckSize:
		if len(m.Payload) >= 4 {
			s.ackEvery = uint64(min(max(binary.BigEndian.Uint32(m.Payload), minWindow), maxWindow)) / 2
		}
	case chunk.UserControl:
		if len(m.Payload) >= 2 && binary.BigEndian.Uint16(m.Payload) == eventPingRequest {
			s.out.event(eventPingResponse, m.Payload[2:])
		}
	case chunk.CommandAMF0:
		return s.command(ctx, m.StreamID, m.Payload)
	case chunk.CommandAMF3:
		return s.command(ctx, m.StreamID, withoutAMF3(m.Payload))
	case chunk.DataAMF0:
		s.data(m.Payload)
	case chunk.DataAMF3:
		s.data(withoutAMF3(m.Payload))
	}
	return nil
}

// withoutAMF3 takes off the byte before what is AMF0 within an AMF3 message.
func withoutAMF3(payload []byte) []byte {
	if len(payload) > 0 && payload[0] == 0 {
		return payload[1:]
	}
	return payload
}

// call is a command of the client.
type call struct {
	stream uint32
	id     float64 // of the transaction; 0 wants no answer
	object amf.Object
	args   []any
}

// text returns an argument if it is a string, else "".
func (c call) text(n int) string {
	if n >= len(c.args) {
		return ""
	}
	t, _ := c.args[n].(string)
	return t
}

func (s *session) command(ctx context.Context, stream uint32, payload []byte) error {
	values, err := amf.Read(payload)
	if err != nil {
		return fmt.Errorf("a command: %w", err)
	}
	if len(values) == 0 {
		return errors.New("a command without a name")
	}
	name, _ := values[0].(string)
	c := call{stream: stream}
	if len(values) > 1 {
		c.id, _ = values[1].(float64)
	}
	if len(values) > 2 {
		c.object, _ = values[2].(amf.Object)
		c.args = values[3:]
	}
	if name != "connect" && !s.connected {
		return fmt.Errorf("the command %.40q came before connect", name)
	}
	switch name {
	case "connect":
		return s.connect(c)
	case "createStream":
		return s.createStream(c)
	case "publish":
		return s.publish(ctx, c)
	case "play", "play2":
		return refusal{code: codeNoPlay, message: "this server takes streams over RTMP, it does not play them; watch over HLS or WebRTC"}
	case "FCUnpublish", "closeStream", "deleteStream":
		s.unpublish(name, c)
	default:
		s.polite(name, c)
	}
	return nil
}

// polite answers commands that need nothing done.
func (s *session) polite(name string, c call) {
	switch name {
	case "releaseStream", "FCPublish", "_checkbw":
		s.result(c, nil)
	case "getStreamLength":
		s.result(c, 0.0)
	default:
		s.log.Debug("an RTMP command is ignored", "command", name)
	}
}

// result answers a command, if it wants to be answered.
func (s *session) result(c call, value any) {
	if c.id != 0 {
		s.out.command("_result", c.id, nil, value)
	}
}

func (s *session) connect(c call) error {
	if s.connected {
		return errors.New("a second connect")
	}
	s.connected = true
	s.places = []string{c.object.Text("app"), pathOf(c.object.Text("tcUrl"))}
	properties := amf.Object{{Name: "fmsVer", Value: "FMS/3,5,7,7009"}, {Name: "capabilities", Value: 31.0}}
	if isEnhanced(c.object) {
		properties = append(properties, enhancements()...)
	}
	info := statusInfo("status", "NetConnection.Connect.Success", "connected")
	info = append(info, amf.Property{Name: "objectEncoding", Value: 0.0})
	s.out.welcome(s.cfg.WindowAckSize)
	s.out.command("_result", c.id, properties, info)
	return nil
}

// isEnhanced says whether a client's connect speaks of enhanced RTMP.
func isEnhanced(object amf.Object) bool {
	for _, name := range [...]string{"fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"} {
		if object.Get(name) != nil {
			return true
		}
	}
	return false
}

// enhancements is what we can of enhanced RTMP ("Enhancing NetConnection connect
// Command").
func enhancements() amf.Object {
	const canForward = 4.0    // FourCcInfoMask
	const modEx, nanos = 4, 8 // CapsExMask
	video := amf.Object{{Name: "avc1", Value: canForward}, {Name: "hvc1", Value: canForward}, {Name: "av01", Value: canForward}, {Name: "vp09", Value: canForward}}
	audio := amf.Object{{Name: "mp4a", Value: canForward}, {Name: "Opus", Value: canForward}}
	return amf.Object{
		{Name: "fourCcList", Value: []any{"avc1", "hvc1", "av01", "vp09", "mp4a", "Opus"}},
		{Name: "videoFourCcInfoMap", Value: video},
		{Name: "audioFourCcInfoMap", Value: audio},
		{Name: "capsEx", Value: float64(modEx | nanos)},
	}
}

func (s *session) createStream(c call) error {
	if s.streams == maxStreams {
		return fmt.Errorf("more than %d message streams", maxStreams)
	}
	s.streams++
	s.result(c, float64(s.streams))
	return nil
}

// publish begins to take media if the key is right.
func (s *session) publish(ctx context.Context, c call) error {
	if s.take != nil {
		return refusal{code: codeBadName, message: "this connection is publishing already; open another one"}
	}
	key := streamKey(c.text(0), s.places...)
	if key == "" {
		return refusal{code: codeDenied, message: "there is no stream key; give it as the stream name"}
	}
	if len(key) > maxKey {
		return refusal{code: codeDenied, message: "this stream key is too long to be one"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.SetupTimeout)
	defer cancel()
	channel, err := s.keys.ChannelByKey(ctx, key)
	if errs.CodeOf(err) == errs.NotFound {
		return refusal{code: codeDenied, message: "this stream key is not valid; copy it again from your channel's page", err: err}
	}
	if err != nil {
		return refuse(err)
	}
	stream := c.stream
	if stream == 0 {
		stream = s.streams
	}
	s.take = newPublication(channel, stream, s)
	s.publishing.Store(true)
	s.in.SetLimits(s.limits())
	s.until(time.Now().Add(s.cfg.IdleTimeout))
	s.out.event(eventStreamBegin, binary.BigEndian.AppendUint32(nil, stream))
	s.out.status(stream, "status", codeStart, "publishing")
	return nil
}

// unpublish ends the broadcast for good. The client may publish again.
func (s *session) unpublish(name string, c call) {
	if s.take == nil || name == "deleteStream" && s.isAnother(c) {
		s.result(c, nil)
		return
	}
	stream := s.take.stream
	s.leave(true, "the publisher ended the broadcast")
	s.in.SetLimits(s.limits())
	s.until(time.Now().Add(s.cfg.SetupTimeout))
	if name == "FCUnpublish" {
		s.out.command("onFCUnpublish", 0, nil, statusInfo("status", codeUnpublish, "the broadcast has ended"))
	}
	s.out.status(stream, "status", codeUnpublish, "the broadcast has ended")
	s.result(c, nil)
}

// isAnother says whether deleteStream names a message stream of the client's
// that does not publish.
func (s *session) isAnother(c call) bool {
	if len(c.args) == 0 {
		return false
	}
	id, _ := c.args[0].(float64)
	return id != float64(s.take.stream) && id >= 1 && id <= float64(s.streams)
}

// leave ends the publication.
func (s *session) leave(forGood bool, reason string) {
	take := s.take
	s.take = nil
	s.publishing.Store(false)
	take.leave(forGood, reason)
}

// streamKey finds the key in what was published. It is the stream name or, for
// encoders with one field for all, the end of the app or of the URL. What comes
// after a question mark is not part of it.
func streamKey(name string, places ...string) string {
	if key := lastElement(name); key != "" {
		return key
	}
	for _, place := range places {
		if key := lastElement(place); key != "" && key != appName {
			return key
		}
	}
	return ""
}

func lastElement(path string) string {
	path, _, _ = strings.Cut(path, "?")
	path = strings.Trim(path, "/ ")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// pathOf returns what follows the host in an RTMP URL.
func pathOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	_, path, _ := strings.Cut(rest, "/")
	return path
}
