package rtmp

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/amf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

const (
	outChunk     = 4096
	writeTimeout = 2 * time.Second
	// Chunk streams.
	controlChunks = 2
	commandChunks = 3
	statusChunks  = 5
)

// User control events (section 7.1.7).
const (
	eventStreamBegin  = 0
	eventPingRequest  = 6
	eventPingResponse = 7
)

// output sends to the client. Some encoders never read while they publish: when
// nothing more can be written it is dead, and the rest is not said. Whether the
// connection lives shows in what is read.
type output struct {
	conn   net.Conn
	chunks *chunk.Writer
	dead   bool
}

func (o *output) write(b []byte) {
	if o.dead {
		return
	}
	_ = o.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := o.conn.Write(b); err != nil {
		o.dead = true
	}
}

// control sends a protocol control message with one number.
func (o *output) control(kind uint8, v uint32) {
	payload := binary.BigEndian.AppendUint32(nil, v)
	if kind == chunk.SetPeerBandwidth {
		payload = append(payload, 2) // dynamic
	}
	o.write(o.chunks.Append(nil, controlChunks, chunk.Message{Type: kind, Payload: payload}))
}

// event sends a user control message.
func (o *output) event(kind uint16, data []byte) {
	payload := append(binary.BigEndian.AppendUint16(nil, kind), data...)
	o.write(o.chunks.Append(nil, controlChunks, chunk.Message{Type: chunk.UserControl, Payload: payload}))
}

// command sends a command of the connection itself, such as a result.
func (o *output) command(values ...any) {
	o.write(o.chunks.Append(nil, commandChunks, chunk.Message{Type: chunk.CommandAMF0, Payload: amf.Append(nil, values...)}))
}

// status sends an onStatus on a message stream.
func (o *output) status(stream uint32, level, code, description string) {
	o.write(o.chunks.Append(nil, statusChunks, chunk.Message{
		Type: chunk.CommandAMF0, StreamID: stream,
		Payload: amf.Append(nil, "onStatus", 0, nil, statusInfo(level, code, description)),
	}))
}

func statusInfo(level, code, description string) amf.Object {
	return amf.Object{{Name: "level", Value: level}, {Name: "code", Value: code}, {Name: "description", Value: description}}
}

// welcome sends what precedes the answer to connect.
func (o *output) welcome(window uint32) {
	o.control(chunk.WindowAckSize, window)
	o.control(chunk.SetPeerBandwidth, window)
	o.write(o.chunks.SetSize(nil, outChunk))
}
