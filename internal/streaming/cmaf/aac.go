package cmaf

import (
	"errors"
	"fmt"
)

// aacRates is the sampling frequencies by index (14496-3, table 1.18).
var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// ParseAAC makes an AudioConfig of an AudioSpecificConfig (14496-3, 1.6.2.1).
// It keeps a copy. AAC-LC, mono or stereo, is what passes.
func ParseAAC(asc []byte) (AudioConfig, error) {
	if len(asc) > 64 {
		return AudioConfig{}, fmt.Errorf("the AudioSpecificConfig has %d bytes, at most 64 are read", len(asc))
	}
	r := &bitReader{data: asc}
	object := r.u(5)
	rate := 0
	if index := r.u(4); index == 15 {
		rate = int(r.u(24))
	} else if int(index) < len(aacRates) {
		rate = aacRates[index]
	}
	channels := int(r.u(4))
	switch {
	case r.err != nil:
		return AudioConfig{}, fmt.Errorf("the AudioSpecificConfig: %w", r.err)
	case object != 2:
		return AudioConfig{}, fmt.Errorf("AAC object type %d; AAC-LC (2) is supported", object)
	case rate == 0 || rate > 96000:
		return AudioConfig{}, errors.New("the AAC sample rate is none of the standard ones")
	case channels < 1 || channels > 2:
		return AudioConfig{}, fmt.Errorf("AAC channel configuration %d; mono (1) and stereo (2) are supported", channels)
	}
	return AudioConfig{Codec: AAC, SampleRate: rate, Channels: channels, ASC: append([]byte(nil), asc...)}, nil
}
