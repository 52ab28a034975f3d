package cmaf

import (
	"bytes"
	"errors"
	"fmt"
)

// Audio object types (14496-3, table 1.17).
const (
	aacLC  = 2
	aacSBR = 5  // HE-AAC
	aacPS  = 29 // HE-AAC v2
)

// ParseAAC makes an AudioConfig of an AudioSpecificConfig (14496-3, 1.6.2.1).
// It keeps a copy. AAC-LC, mono or stereo, is what passes, also as the core of
// HE-AAC: whether the spectral band replication is announced or not, SampleRate
// and Channels are those of the core, whose frames have 1024 samples.
func ParseAAC(asc []byte) (AudioConfig, error) {
	if len(asc) > 64 {
		return AudioConfig{}, fmt.Errorf("the AudioSpecificConfig has %d bytes, at most 64 are read", len(asc))
	}
	r := &bitReader{data: asc}
	object := r.u(5)
	rate := aacRate(r)
	channels := int(r.u(4))
	if object == aacSBR || object == aacPS {
		aacRate(r) // the rate after replication
		object = r.u(5)
	}
	shortFrames := r.u1() == 1 // frameLengthFlag of GASpecificConfig (4.4.1)
	switch {
	case r.err != nil:
		return AudioConfig{}, fmt.Errorf("the AudioSpecificConfig: %w", r.err)
	case object != aacLC:
		return AudioConfig{}, fmt.Errorf("AAC object type %d; AAC-LC (2) is supported", object)
	case rate == 0 || rate > 96000:
		return AudioConfig{}, errors.New("the AAC sample rate is none of the standard ones")
	case channels < 1 || channels > 2:
		return AudioConfig{}, fmt.Errorf("AAC channel configuration %d; mono (1) and stereo (2) are supported", channels)
	case shortFrames:
		return AudioConfig{}, errors.New("AAC frames of 960 samples; 1024 are supported")
	}
	return AudioConfig{Codec: AAC, SampleRate: rate, Channels: channels, ASC: bytes.Clone(asc)}, nil
}

// aacRate reads a sampling frequency (14496-3, table 1.18), 0 for a reserved one.
func aacRate(r *bitReader) int {
	rates := [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
	index := int(r.u(4))
	switch {
	case index == 15:
		return int(r.u(24))
	case index < len(rates):
		return rates[index]
	}
	return 0
}
