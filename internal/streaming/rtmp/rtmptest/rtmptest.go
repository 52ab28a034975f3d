// Package rtmptest publishes real media over RTMP, for tests of everything that
// needs a live stream: made by ffmpeg, sent in real time by a publisher of our
// own, which can also do what no good publisher does.
package rtmptest

import (
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

// Tag is a message of media or data.
type Tag struct {
	Type      uint8  // such as chunk.Audio, chunk.Video or chunk.DataAMF0
	Timestamp uint32 // decoding time in ms, modulo 2^32
	Data      []byte
}

// AVCHeader is the sequence header of H264 with its
// AVCDecoderConfigurationRecord.
func AVCHeader(at uint32, record []byte) Tag {
	return Tag{Type: chunk.Video, Timestamp: at, Data: append([]byte{0x17, 0, 0, 0, 0}, record...)}
}

// AVC is a frame of H264, NAL units after their lengths; offset is presentation
// minus decoding time, in ms.
func AVC(at uint32, key bool, offset int32, frame []byte) Tag {
	first := byte(0x27)
	if key {
		first = 0x17
	}
	head := []byte{first, 1, byte(offset >> 16), byte(offset >> 8), byte(offset)}
	return Tag{Type: chunk.Video, Timestamp: at, Data: append(head, frame...)}
}

// AACHeader is the sequence header of AAC with its AudioSpecificConfig.
func AACHeader(at uint32, asc []byte) Tag {
	return Tag{Type: chunk.Audio, Timestamp: at, Data: append([]byte{0xaf, 0}, asc...)}
}

// AAC is a frame of AAC.
func AAC(at uint32, frame []byte) Tag {
	return Tag{Type: chunk.Audio, Timestamp: at, Data: append([]byte{0xaf, 1}, frame...)}
}

// Packet types of enhanced RTMP.
const (
	SequenceStart = 0
	CodedFrames   = 1
	SequenceEnd   = 2
	CodedFramesX  = 3
)

// ExVideo is a video message of enhanced RTMP. body is what follows the codec.
func ExVideo(at uint32, fourCC string, packet uint8, key bool, body []byte) Tag {
	first := 0xa0 | packet
	if key {
		first = 0x90 | packet
	}
	return Tag{Type: chunk.Video, Timestamp: at, Data: append(append([]byte{first}, fourCC...), body...)}
}

// ExAudio is an audio message of enhanced RTMP.
func ExAudio(at uint32, fourCC string, packet uint8, body []byte) Tag {
	return Tag{Type: chunk.Audio, Timestamp: at, Data: append(append([]byte{0x90 | packet}, fourCC...), body...)}
}
