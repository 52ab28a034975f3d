package cmaf

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"testing"
)

func FuzzParseAVC(f *testing.F) {
	f.Add(testSPS, testPPS)
	f.Add(unhex("6764001facd9405005bb0110000003001000000303c0f1831960"), unhex("68ebe3cb22c0"))
	f.Fuzz(func(t *testing.T, sps, pps []byte) {
		c, err := ParseAVC(sps, pps)
		if err != nil {
			return
		}
		if c.Width <= 0 || c.Height <= 0 || c.Width > maxPicture || c.Height > 2*maxPicture {
			t.Errorf("a picture of %dx%d", c.Width, c.Height)
		}
		back, err := ParseInit(Init{Video: &c}.Marshal())
		if err != nil || !reflect.DeepEqual(back.Video, &c) {
			t.Errorf("%+v became %+v, %v", c, back.Video, err)
		}
	})
}

func FuzzParseAAC(f *testing.F) {
	f.Add([]byte{0x12, 0x10})
	f.Add([]byte{0x17, 0x80, 0xbb, 0x80, 0x08})
	f.Fuzz(func(t *testing.T, asc []byte) {
		c, err := ParseAAC(asc)
		if err != nil {
			return
		}
		back, err := ParseInit(Init{Audio: &c}.Marshal())
		if err != nil || !reflect.DeepEqual(back.Audio, &c) {
			t.Errorf("%+v became %+v, %v", c, back.Audio, err)
		}
	})
}

func FuzzNALUnits(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2})
	f.Add([]byte{0, 0, 0, 2, 0x67, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		nals := SplitAnnexB(data)
		for _, n := range nals {
			if bytes.Contains(n, []byte{0, 0, 1}) {
				t.Errorf("a start code is in the NAL unit %x", n)
			}
		}
		back, err := SplitAVCC(AppendAVCC(nil, nals...))
		if err != nil || !equalNALs(back, nals) {
			t.Errorf("%x became %x, %v", nals, back, err)
		}
		_, _ = SplitAVCC(data)
	})
}

func FuzzParseInit(f *testing.F) {
	aac, err := ParseAAC([]byte{0x12, 0x10})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Init{Video: testVideo(f), Audio: testOpus()}.Marshal())
	f.Add(Init{Audio: &aac}.Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		init, err := ParseInit(data)
		if err != nil {
			return
		}
		back, err := ParseInit(init.Marshal())
		if err != nil || !reflect.DeepEqual(back, init) {
			t.Errorf("%+v became %+v, %v", init, back, err)
		}
	})
}

func FuzzReadSegment(f *testing.F) {
	small := &Run{BaseTime: 90, Samples: []Sample{
		{Duration: 3000, Key: true, Data: []byte("I")}, {Duration: 2000, CompositionOffset: -5, Data: []byte("PP")}}}
	media := (&Fragment{Sequence: 1, Video: small, Audio: small}).AppendTo(AppendSegmentType(nil))
	f.Add(media)
	init := Init{Video: testVideo(f), Audio: testOpus()}.Marshal()
	f.Fuzz(func(t *testing.T, data []byte) {
		fragments, err := ReadSegment(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, fragment := range fragments {
			for i := range 2 {
				run := fragment.run(i)
				if run == nil {
					continue
				}
				for _, s := range run.Samples {
					if s.Offset < 0 || s.Offset+int64(s.Size) > int64(len(data)) {
						t.Fatalf("sample %+v in %d bytes", s, len(data))
					}
				}
			}
		}
		source := memorySource{init, data}
		both := []Source{source, memorySource{init, media}, source}
		if _, err := Remux(context.Background(), io.Discard, both, both, nil); err != nil {
			_, _ = Remux(context.Background(), io.Discard, both[:1], both[1:], nil)
		}
		size := int64(0)
		count := writerFunc(func(b []byte) (int, error) { size += int64(len(b)); return len(b), nil })
		info, err := Remux(context.Background(), count, []Source{source, source}, nil, nil)
		if err == nil && info.Size != size {
			t.Errorf("%d bytes written, Info says %d", size, info.Size)
		}
		if err == nil && info.DurationMS < 0 {
			t.Errorf("the duration is %d ms", info.DurationMS)
		}
	})
}
