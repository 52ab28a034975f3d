package cmaf

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
	"testing/iotest"
)

// checkVideo holds what is true of every configuration that could be made.
func checkVideo(t *testing.T, c VideoConfig) {
	t.Helper()
	if c.Width <= 0 || c.Height <= 0 || c.Width > maxPicture || c.Height > 2*maxPicture {
		t.Errorf("a picture of %dx%d", c.Width, c.Height)
	}
	if name := c.CodecString(); len(name) < 6 || name[4] != '.' {
		t.Errorf("the codec is called %q", name)
	}
	back, err := ParseInit(Init{Video: &c}.Marshal())
	if err != nil || !reflect.DeepEqual(back.Video, &c) {
		t.Errorf("%+v became %+v, %v", c, back.Video, err)
	}
}

func FuzzParseHEVC(f *testing.F) {
	f.Add(testHEVC[0], testHEVC[1], testHEVC[2])
	f.Fuzz(func(t *testing.T, vps, sps, pps []byte) {
		if c, err := ParseHEVC(vps, sps, pps); err == nil {
			checkVideo(t, c)
		}
	})
}

func FuzzParseAV1(f *testing.F) {
	f.Add(testAV1)
	f.Add(append([]byte{testAV1[0] &^ 2}, testAV1[2:]...))
	f.Fuzz(func(t *testing.T, obu []byte) {
		if c, err := ParseAV1(obu); err == nil {
			checkVideo(t, c)
		}
		obus, err := SplitOBUs(obu)
		if err == nil && !bytes.Equal(bytes.Join(obus, nil), obu) {
			t.Errorf("%x was split into %x", obu, obus)
		}
	})
}

func FuzzParseVP(f *testing.F) {
	f.Add(testVP8)
	f.Add(testVP9)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if c, err := ParseVP8(frame); err == nil {
			checkVideo(t, c)
		}
		if c, err := ParseVP9(frame); err == nil {
			checkVideo(t, c)
		}
	})
}

func FuzzParseRecords(f *testing.F) {
	hevc, err := ParseHEVC(testHEVC[0], testHEVC[1], testHEVC[2])
	if err != nil {
		f.Fatal(err)
	}
	av1, err := ParseAV1(testAV1)
	if err != nil {
		f.Fatal(err)
	}
	vp9, err := ParseVP9(testVP9)
	if err != nil {
		f.Fatal(err)
	}
	for _, write := range []func(w *boxWriter){
		func(w *boxWriter) { w.avcC(*testVideo(f)) }, func(w *boxWriter) { w.hvcC(hevc) },
		func(w *boxWriter) { w.av1C(av1) }, func(w *boxWriter) { w.vpcC(vp9.VP) },
	} {
		w := &boxWriter{}
		write(w)
		f.Add(w.b[8:])
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		for _, parse := range []func([]byte) (VideoConfig, error){ParseAVCRecord, ParseHEVCRecord, ParseAV1Record} {
			if c, err := parse(record); err == nil {
				checkVideo(t, c)
			}
		}
		if c, err := ParseVPRecord(record); err == nil {
			c.Width, c.Height = 320, 180
			checkVideo(t, c)
		}
	})
}

func FuzzEvent(f *testing.F) {
	for _, e := range testEvents() {
		f.Add(e.AppendTo(nil)[8:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, ok, err := parseEvent(body)
		if err != nil || !ok {
			return
		}
		back, ok, err := parseEvent(e.AppendTo(nil)[8:])
		if err != nil || !ok || !reflect.DeepEqual(back, e) {
			t.Errorf("%+v became %+v, %v", e, back, err)
		}
	})
}

// A stream is read the same however it arrives, and what comes out can be
// written and read again.
func FuzzReader(f *testing.F) {
	small := &Run{BaseTime: 90, Samples: []Sample{
		{Duration: 3000, Key: true, Data: []byte("I")}, {Duration: 2000, CompositionOffset: -5, Data: []byte("PP")}}}
	own := Init{Video: testVideo(f), Audio: testOpus()}.Marshal()
	fragment := (&Fragment{Sequence: 1, Video: small, Audio: small}).AppendTo(AppendSegmentType(nil))
	f.Add(append(bytes.Clone(own), fragment...))
	f.Add(fragment)
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, slow := NewReader(bytes.NewReader(data)), NewReader(iotest.HalfReader(bytes.NewReader(data)))
		for {
			got, err := whole.Next()
			again, errAgain := slow.Next()
			if !reflect.DeepEqual(got, again) || (err == nil) != (errAgain == nil) {
				t.Fatalf("%+v, %v is %+v, %v when it comes slowly", got, err, again, errAgain)
			}
			if err != nil {
				if errors.Is(err, io.EOF) && whole.movie == nil {
					t.Error("the end of a stream without moov is no error")
				}
				return
			}
			for _, run := range []*Run{got.Video, got.Audio} {
				if run != nil && int64(run.BaseTime)+int64(run.Duration()) > math.MaxInt64/2 {
					t.Errorf("a run from %d for %d", run.BaseTime, run.Duration())
				}
			}
			infos, err := ReadSegment(bytes.NewReader(got.AppendTo(nil)))
			if err != nil || len(infos) != 1 {
				t.Fatalf("the fragment cannot be read again: %v", err)
			}
		}
	})
}
