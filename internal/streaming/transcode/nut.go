package transcode

import (
	"encoding/binary"
)

// NUT is ffmpeg's own container ("NUT Open Container Format", version 3). Times
// are exact in a time base of the stream's choice, and every frame says its size
// before it begins.

const nutID = "nut/multimedia container\x00"

// Start codes; all begin with 'N', which is never a frame code.
const (
	nutMain      = 0x4e4d7a561f5f04ad
	nutStream    = 0x4e5311405bf2f9db
	nutSyncpoint = 0x4e4be4adeeca4569
	nutInfo      = 0x4e49ab68b596ba78
	nutIndex     = 0x4e58dd672f23e64e
)

// Frame flags.
const (
	nutFlagKey       = 1
	nutFlagCodedPTS  = 8
	nutFlagStreamID  = 16
	nutFlagSizeMSB   = 32
	nutFlagChecksum  = 64
	nutFlagReserved  = 128
	nutFlagSideData  = 256
	nutFlagHeaderIdx = 1024
	nutFlagMatchTime = 2048
	nutFlagCoded     = 4096
	nutFlagInvalid   = 8192
)

// Stream classes.
const (
	nutVideo = 0
	nutAudio = 1
)

// appendVarint appends a number of 7 bits a byte, the highest first ("v").
func appendVarint(dst []byte, n uint64) []byte {
	var b [10]byte
	i := len(b) - 1
	b[i] = byte(n & 0x7f)
	for n >>= 7; n > 0; n >>= 7 {
		i--
		b[i] = byte(n&0x7f) | 0x80
	}
	return append(dst, b[i:]...)
}

// appendNUTBytes appends bytes after their number ("vb").
func appendNUTBytes(dst, b []byte) []byte {
	return append(appendVarint(dst, uint64(len(b))), b...)
}

// appendNUTPacket appends a header with its start code, size and checksum. It
// must be shorter than 4096 bytes; longer ones have a checksum of their size.
func appendNUTPacket(dst []byte, startCode uint64, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, startCode)
	dst = appendVarint(dst, uint64(len(payload)+4))
	dst = append(dst, payload...)
	return binary.BigEndian.AppendUint32(dst, nutCRC(payload))
}

// nutCRC is the CRC-32 of the polynomial 0x04c11db7 from the highest bit on,
// beginning with 0. hash/crc32 has only the mirrored one. Headers are short, so
// it has no table.
func nutCRC(b []byte) uint32 {
	crc := uint32(0)
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			top := crc >> 31
			crc = crc<<1 ^ top*0x04c11db7
		}
	}
	return crc
}
