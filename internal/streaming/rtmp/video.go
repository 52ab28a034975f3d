package rtmp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/flv"
)

// videoTrack is the publisher's video. It keeps what decodes the next key frame.
type videoTrack struct {
	codec  cmaf.VideoCodec   // 0 until the first message
	config *cmaf.VideoConfig // nil until known
	nals   nalFilter
	report reports
}

// header takes a decoder configuration record. The next key frame has what is
// new in it. Errors: errs.Unsupported for what cannot be taken, and for another
// codec than before.
func (v *videoTrack) header(codec cmaf.VideoCodec, record []byte) error {
	if err := v.is(codec); err != nil {
		return err
	}
	if len(record) == 0 || codec == cmaf.VP9 {
		return nil // VP9 tells more in its key frames
	}
	config, err := v.parse(record)
	if err != nil {
		return &errs.Error{Code: errs.Unsupported, Message: "the " + codec.String() + " video cannot be taken: " + err.Error(), Err: err}
	}
	v.nals.use(&config)
	if v.config == nil || !v.config.Equal(config) {
		v.config = &config
	}
	return nil
}

// is notes the codec, which stays for a broadcast.
func (v *videoTrack) is(codec cmaf.VideoCodec) error {
	if v.codec == 0 {
		v.codec = codec
		v.nals = nalFilter{codec: codec, lengthSize: 4}
	}
	if v.codec != codec {
		return errs.Newf(errs.Unsupported, "the video changed from %v to %v within the broadcast; publish anew", v.codec, codec)
	}
	return nil
}

// parse reads a record. NAL units may have lengths of another size than the 4
// bytes that we want: they are converted.
func (v *videoTrack) parse(record []byte) (cmaf.VideoConfig, error) {
	switch v.codec {
	case cmaf.H264:
		return v.parseNALs(cmaf.ParseAVCRecord, record, 4)
	case cmaf.H265:
		return v.parseNALs(cmaf.ParseHEVCRecord, record, 21)
	case cmaf.AV1:
		return cmaf.ParseAV1Record(record)
	}
	return cmaf.VideoConfig{}, errors.New("no such codec")
}

// parseNALs reads a record that has the size of lengths in the byte at a place.
func (v *videoTrack) parseNALs(parse func([]byte) (cmaf.VideoConfig, error), record []byte, at int) (cmaf.VideoConfig, error) {
	if len(record) <= at {
		return cmaf.VideoConfig{}, errors.New("its configuration record ends too early")
	}
	size := int(record[at]&3) + 1
	config, err := parse(func() []byte {
		if size == 4 {
			return record
		}
		whole := bytes.Clone(record)
		whole[at] |= 3
		return whole
	}())
	if err == nil {
		v.nals.lengthSize = size
	}
	return config, err
}

// frame returns the picture of a message, without its times. Data is empty when
// there was none. It is made of the message's bytes, which change.
func (v *videoTrack) frame(tag flv.Video) (frame.Video, error) {
	if err := v.is(tag.Codec); err != nil {
		return frame.Video{}, err
	}
	f := frame.Video{Key: tag.Key, Offset: tag.Offset * (cmaf.VideoTimescale / 1000)}
	var err error
	switch v.codec {
	case cmaf.H264, cmaf.H265:
		var key bool
		f.Data, key, err = v.nals.filter(tag.Data)
		f.Key = f.Key || key
	case cmaf.AV1:
		f.Data, err = v.units(tag.Data, f.Key)
	default:
		f.Data = tag.Data
	}
	if err == nil && f.Key && len(f.Data) > 0 {
		err = v.configure(f.Data)
		f.Config = v.config
	}
	if err != nil {
		return frame.Video{}, fmt.Errorf("a frame of %v: %w", v.codec, err)
	}
	return f, nil
}

// configure brings the configuration up to date with a key frame.
func (v *videoTrack) configure(data []byte) error {
	var config cmaf.VideoConfig
	var err error
	switch {
	case v.codec == cmaf.VP9:
		config, err = cmaf.ParseVP9(data)
	case v.nals.changed:
		config, err = v.nals.config()
	default:
		if v.config == nil {
			return errors.New("a key frame without a header before it")
		}
		return nil
	}
	if err != nil {
		return err
	}
	if v.config == nil || !v.config.Equal(config) {
		v.config = &config
	}
	return nil
}

// units returns the open bitstream units of an AV1 frame that belong into a
// sample, each with its size ("AV1 Codec ISO Media File Format Binding", 2.4).
func (v *videoTrack) units(data []byte, key bool) ([]byte, error) {
	obus, err := cmaf.SplitOBUs(data)
	if err != nil {
		return nil, err
	}
	out := data[:0]
	for _, obu := range obus {
		switch cmaf.OBUType(obu) {
		case cmaf.OBUTemporalDelimiter, cmaf.OBUTileList, cmaf.OBUPadding:
			continue
		case cmaf.OBUSequenceHeader:
			if err := v.sequence(obu, key); err != nil {
				return nil, err
			}
		}
		if obu[0]&2 != 0 {
			out = append(out, obu...) // to where it is or before
			continue
		}
		header := 1 + int(obu[0]>>2&1) // the last one, without a size
		return cmaf.AppendOBU(bytes.Clone(out), obu[:header], obu[header:]), nil
	}
	return out, nil
}

// sequence notes a sequence header that is new with a key frame.
func (v *videoTrack) sequence(obu []byte, key bool) error {
	if !key || v.config != nil && bytes.Equal(v.config.SequenceHeader, obu) {
		return nil
	}
	config, err := cmaf.ParseAV1(obu)
	if err == nil && (v.config == nil || !v.config.Equal(config)) {
		v.config = &config
	}
	return err
}
