package whip

import (
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// TestRestartOffer replaces what is ICE's in an offer, and nothing else.
func TestRestartOffer(t *testing.T) {
	offer := "v=0\r\na=group:BUNDLE 0 1\r\nm=video 9 x 96\r\na=ice-ufrag:old1\r\na=ice-pwd:oldoldoldoldoldoldoldo\r\na=mid:0\r\n" +
		"a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=end-of-candidates\r\na=rtpmap:96 H264/90000\r\n" +
		"m=audio 9 x 97\r\na=ice-ufrag:old1\r\na=ice-pwd:oldoldoldoldoldoldoldo\r\na=mid:1\r\n"
	f := rtc.Fragment{
		Ufrag: "new1", Pwd: "newnewnewnewnewnewnewn",
		Candidates: []webrtc.ICECandidateInit{{Candidate: "candidate:2 1 udp 1 192.0.2.2 2 typ host"}},
	}
	want := "v=0\r\na=group:BUNDLE 0 1\r\nm=video 9 x 96\r\na=ice-ufrag:new1\r\na=ice-pwd:newnewnewnewnewnewnewn\r\na=mid:0\r\n" +
		"a=rtpmap:96 H264/90000\r\na=candidate:2 1 udp 1 192.0.2.2 2 typ host\r\n" +
		"m=audio 9 x 97\r\na=ice-ufrag:new1\r\na=ice-pwd:newnewnewnewnewnewnewn\r\na=mid:1\r\n"
	if got := restartOffer(f, offer); got != want {
		t.Errorf("%q\nnot\n%q", got, want)
	}
}
