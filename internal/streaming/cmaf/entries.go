package cmaf

// videoEntry writes the visual sample entry of the codec (14496-12, 12.1.3)
// with its configuration box. Parameter sets are out of band.
func (w *boxWriter) videoEntry(c VideoConfig) {
	at := w.open(c.entryKind())
	w.zeros(6)
	w.u16(1) // data_reference_index
	w.zeros(16)
	w.u16(uint16(c.Width))
	w.u16(uint16(c.Height))
	w.u32(0x480000) // 72 dpi
	w.u32(0x480000)
	w.u32(0)
	w.u16(1) // frame_count
	w.zeros(32)
	w.u16(0x18) // depth: colour, no alpha
	w.u16(0xffff)
	switch c.Codec {
	case H265:
		w.hvcC(c)
	case VP8, VP9:
		w.vpcC(c.VP)
	case AV1:
		w.av1C(c)
	default:
		w.avcC(c)
	}
	w.close(at)
}

// avcC writes the AVCDecoderConfigurationRecord (14496-15, 5.3.3.1).
func (w *boxWriter) avcC(c VideoConfig) {
	at := w.open("avcC")
	w.u8(1, c.SPS[1], c.SPS[2], c.SPS[3])
	w.u8(0xff, 0xe1) // 4-byte lengths; one SPS
	w.u16(uint16(len(c.SPS)))
	w.bytes(c.SPS)
	w.u8(1) // one PPS
	w.u16(uint16(len(c.PPS)))
	w.bytes(c.PPS)
	if p := c.SPS[1]; p != 66 && p != 77 && p != 88 {
		if info, err := parseSPS(c.SPS); err == nil {
			w.u8(0xfc|uint8(info.chromaFormat), 0xf8|uint8(info.bitDepthL), 0xf8|uint8(info.bitDepthC), 0)
		}
	}
	w.close(at)
}

// hvcC writes the HEVCDecoderConfigurationRecord (14496-15, 8.3.3.1).
func (w *boxWriter) hvcC(c VideoConfig) {
	info, _ := parseHEVCSPS(c.SPS) // it could be read when the configuration was made
	at := w.open("hvcC")
	first := info.profileSpace<<6 | info.profile
	if info.highTier {
		first |= 1 << 5
	}
	w.u8(1, first)
	w.u32(info.compatibility)
	w.bytes(info.constraints[:])
	w.u8(info.level)
	w.u16(0xf000) // min_spatial_segmentation_idc: not told
	w.u8(0xfc)    // parallelismType: not told
	w.u8(0xfc|info.chromaFormat, 0xf8|info.bitDepthL, 0xf8|info.bitDepthC)
	w.u16(0) // avgFrameRate: not told
	layers := info.subLayers<<3 | 3
	if info.nested {
		layers |= 1 << 2
	}
	w.u8(layers, 3) // 4-byte lengths; three arrays
	for i, nal := range [][]byte{c.VPS, c.SPS, c.PPS} {
		w.u8(0x80 | uint8(HEVCVPS+i)) // array_completeness: none in band
		w.u16(1)
		w.u16(uint16(len(nal)))
		w.bytes(nal)
	}
	w.close(at)
}

// vpcC writes the VPCodecConfigurationBox ("VP Codec ISO Media File Format Binding").
func (w *boxWriter) vpcC(c VPConfig) {
	at := w.openFull("vpcC", 1, 0)
	depth := c.BitDepth<<4 | c.ChromaSubsampling<<1
	if c.FullRange {
		depth |= 1
	}
	w.u8(c.Profile, c.Level, depth, c.Primaries, c.Transfer, c.Matrix)
	w.u16(0) // codecInitializationDataSize: none for VP8 and VP9
	w.close(at)
}

// av1C writes the AV1CodecConfigurationBox (AV1 in ISOBMFF, 2.3).
func (w *boxWriter) av1C(c VideoConfig) {
	i, _ := parseSequenceHeader(c.SequenceHeader) // it could be read when the configuration was made
	at := w.open("av1C")
	w.u8(0x81, i.profile<<5|i.level)
	w.u8(i.tier<<7 | i.highBitDepth<<6 | i.twelveBit<<5 | i.monochrome<<4 |
		i.subsamplingX<<3 | i.subsamplingY<<2 | i.chromaPosition)
	w.u8(0) // initial_presentation_delay: not told
	w.bytes(c.SequenceHeader)
	w.close(at)
}

// audioEntry writes the sample entry of the codec (12.2.3).
func (w *boxWriter) audioEntry(c AudioConfig) {
	kind := "mp4a"
	if c.Codec == Opus {
		kind = "Opus"
	}
	at := w.open(kind)
	w.zeros(6)
	w.u16(1) // data_reference_index
	w.zeros(8)
	w.u16(uint16(c.Channels))
	w.u16(16) // samplesize
	w.u32(0)
	w.u32(sampleRateField(c))
	if c.Codec == Opus {
		w.dOps(c)
	} else {
		w.esds(c.ASC)
	}
	w.close(at)
}

// sampleRateField is 16.16 fixed point; a rate that does not fit is 0 and told
// by the codec's own configuration.
func sampleRateField(c AudioConfig) uint32 {
	if rate := c.Timescale(); rate < 1<<16 {
		return rate << 16
	}
	return 0
}

// dOps writes the OpusSpecificBox (Opus in ISOBMFF, 4.3.2), mapping family 0.
func (w *boxWriter) dOps(c AudioConfig) {
	at := w.open("dOps")
	w.u8(0, uint8(c.Channels))
	w.u16(c.PreSkip)
	w.u32(uint32(c.SampleRate))
	w.u16(0) // OutputGain
	w.u8(0)  // ChannelMappingFamily
	w.close(at)
}

// esds writes the elementary stream descriptor (14496-1, 7.2.6) of AAC.
func (w *boxWriter) esds(asc []byte) {
	at := w.openFull("esds", 0, 0)
	config := 2 + len(asc)
	decoder := 2 + 13 + config
	w.u8(3, uint8(3+decoder+3)) // ES_Descriptor
	w.u16(AudioTrackID)
	w.u8(0)
	w.u8(4, uint8(13+config)) // DecoderConfigDescriptor
	w.u8(0x40, 0x15)          // MPEG-4 audio, an audio stream
	w.zeros(11)               // buffer size and bit rates: not told
	w.u8(5, uint8(len(asc)))
	w.bytes(asc)
	w.u8(6, 1, 2) // SLConfigDescriptor: MP4
	w.close(at)
}
