package live

import "errors"

// Opus packets (RFC 6716, section 3). Durations are in samples at 48 kHz.

var errOpus = errors.New("no Opus packet")

// maxOpusSamples is 120 ms, the longest that a packet may be.
const maxOpusSamples = 5760

// opusSamples returns the duration of a packet by its TOC (RFC 6716, 3.1).
func opusSamples(packet []byte) (int64, error) {
	if len(packet) == 0 {
		return 0, errOpus
	}
	config := packet[0] >> 3
	var frame int64
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [...]int64{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = [...]int64{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 120 << (config & 3)
	}
	frames := int64(1)
	switch packet[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(packet) < 2 {
			return 0, errOpus
		}
		frames = int64(packet[1] & 0x3f)
	}
	if frames == 0 || frames*frame > maxOpusSamples {
		return 0, errOpus
	}
	return frames * frame, nil
}

// shortestSilence is 2.5 ms, the shortest Opus frame.
const shortestSilence = 120

// opusSilence returns an Opus packet of silence that is not longer than room, and
// its duration. Room must be at least shortestSilence.
func opusSilence(room int64, channels int) (packet []byte, samples int64) {
	// CELT, full band: configurations 28 to 31 have 2.5, 5, 10 and 20 ms. A
	// packet of the TOC and two bytes decodes to silence.
	config, samples := byte(31), int64(960)
	for samples > room && config > 28 {
		config, samples = config-1, samples/2
	}
	toc := config << 3
	if channels == 2 {
		toc |= 4
	}
	return []byte{toc, 0xff, 0xfe}, samples
}
