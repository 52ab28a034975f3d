// Package chunk is RTMP's chunk stream: messages cut into chunks that share one
// connection ("Adobe's Real Time Messaging Protocol", 1.0, section 5.3).
package chunk

// Message types (sections 5.4 and 7.1).
const (
	SetChunkSize     = 1
	Abort            = 2
	Acknowledgement  = 3
	UserControl      = 4
	WindowAckSize    = 5
	SetPeerBandwidth = 6
	Audio            = 8
	Video            = 9
	DataAMF3         = 15
	CommandAMF3      = 17
	DataAMF0         = 18
	CommandAMF0      = 20
	Aggregate        = 22
)

const (
	// DefaultSize is the size of chunks until Set Chunk Size says another.
	DefaultSize = 128
	// MaxLength is the longest message that the header can say, in bytes, so
	// a larger chunk size means this one.
	MaxLength = 0xffffff

	extended = 0xffffff // in the timestamp field: an extended timestamp follows
)

// Message is one message of a peer.
type Message struct {
	Type      uint8
	StreamID  uint32
	Timestamp uint32 // ms, modulo 2^32
	Payload   []byte // its reader's to keep
}
