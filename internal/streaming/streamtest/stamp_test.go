package streamtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

func TestStamp(t *testing.T) {
	unit := []byte{
		0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68, 0xce, // parameter sets
		0, 0, 0, 1, 0x65, 1, 2, 0, 0, 0, 1, 0x65, 3, 4, // two slices
	}
	now := time.Unix(1_700_000_000, 42)
	got := stamped(unit, now)
	var types []int
	for _, nal := range cmaf.SplitAnnexB(got) {
		types = append(types, cmaf.NALType(nal))
	}
	want := []int{cmaf.NALSPS, cmaf.NALPPS, cmaf.NALSEI, cmaf.NALIDR, cmaf.NALIDR}
	if len(types) != len(want) {
		t.Fatalf("the unit has NAL units %v, want %v", types, want)
	}
	for i := range want {
		if types[i] != want[i] {
			t.Fatalf("the unit has NAL units %v, want %v", types, want)
		}
	}
	two := append(bytes.Clone(got), stamped(unit, now.Add(time.Second))...)
	stamps := StampsOf(two)
	if len(stamps) != 2 || !stamps[0].Equal(now) || !stamps[1].Equal(now.Add(time.Second)) {
		t.Errorf("the stamps are %v", stamps)
	}
	for _, bad := range [][]byte{nil, unit, []byte(stampID), []byte(stampID + "zzzzzzzzzzzzzzzz")} {
		if stamps := StampsOf(bad); stamps != nil {
			t.Errorf("%q has stamps %v", bad, stamps)
		}
	}
}
