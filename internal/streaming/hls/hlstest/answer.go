package hlstest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Asked is what a request was for.
type Asked int

// The kinds of requests.
const (
	ForPlaylist  Asked = iota + 1 // without directives; also the multivariant playlist
	ForBlocking                   // with _HLS_msn
	ForMedia                      // a segment, part or init segment that is listed
	ForHint                       // the part that is hinted at
	ForOldPart                    // a part that has just left the playlist
	ForFarMSN                     // _HLS_msn that is too far ahead
	ForFarPart                    // _HLS_part that is too far ahead
	ForPartAlone                  // _HLS_part without _HLS_msn
	ForUnknown                    // what is not there
)

// Answer is an answer of the server, without its body. The request took gzip.
type Answer struct {
	Asked          Asked
	URL            string
	Status         int
	Header         http.Header
	Proto          int  // major version of HTTP
	TLS            bool // it came over TLS
	Redirected     bool
	Live           bool          // of a stream that goes on
	TargetDuration time.Duration // of its playlist; 0: not known
}

// CheckAnswer checks how an answer was delivered.
func CheckAnswer(a Answer) error {
	var f Findings
	if a.Redirected {
		f.add("apple-8.18", "%s was redirected", a.URL)
	}
	if a.TLS && a.Proto < 2 {
		f.add("http-2", "%s came over HTTP/%d", a.URL, a.Proto)
	}
	if origin := a.Header.Get("Access-Control-Allow-Origin"); origin != "*" {
		f.add("http-cors", "%s has Access-Control-Allow-Origin %q, not *", a.URL, origin)
	}
	if a.wanted(&f) {
		a.checkDelivered(&f)
	}
	if a.Status >= 400 && !a.directive("no-store") {
		f.add("http-cache-error", "%s is %d with Cache-Control %q", a.URL, a.Status, a.Header.Get("Cache-Control"))
	}
	return f.err()
}

// wanted checks the status; it is true for a good answer that was due.
func (a *Answer) wanted(f *Findings) bool {
	rule, want := "http-status", http.StatusOK
	switch a.Asked {
	case ForBlocking:
		rule = "http-block"
	case ForHint:
		if a.Status == http.StatusNotFound {
			return false // the segment ended before the part came (the draft, 6.2.6)
		}
		rule = "http-hold"
	case ForOldPart:
		rule = "http-part-after"
	case ForFarMSN:
		rule, want = "http-msn-far", http.StatusBadRequest
	case ForFarPart:
		rule, want = "http-part-far", http.StatusBadRequest
	case ForPartAlone:
		rule, want = "http-part-alone", http.StatusBadRequest
	case ForUnknown:
		rule, want = "http-unknown", http.StatusNotFound
	}
	if a.Status != want {
		f.add(rule, "%s is answered with %d, not %d", a.URL, a.Status, want)
	}
	return a.Status == http.StatusOK && want == http.StatusOK
}

func (a *Answer) checkDelivered(f *Findings) {
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	encoding := a.Header.Get("Content-Encoding")
	if a.Asked != ForPlaylist && a.Asked != ForBlocking {
		if !slices.Contains([]string{"video/mp4", "audio/mp4", "video/iso.segment"}, kind) {
			f.add("http-media-type", "%s is %q", a.URL, kind)
		}
		if encoding != "" {
			f.add("http-media-plain", "%s is sent with Content-Encoding %s", a.URL, encoding)
		}
		if a.Live && (!a.directive("immutable") || a.maxAge() < 6*a.TargetDuration) {
			f.add("http-cache-media", "%s has Cache-Control %q", a.URL, a.Header.Get("Cache-Control"))
		}
		return
	}
	if kind != "application/vnd.apple.mpegurl" {
		f.add("http-playlist-type", "%s is %q, not application/vnd.apple.mpegurl", a.URL, kind)
	}
	if encoding != "gzip" || !strings.Contains(strings.ToLower(strings.Join(a.Header.Values("Vary"), ",")), "accept-encoding") {
		f.add("apple-10.1", "%s is sent with Content-Encoding %q and Vary %q", a.URL, encoding, a.Header.Values("Vary"))
	}
	if a.TargetDuration == 0 || !a.Live {
		return
	}
	age := a.maxAge()
	switch {
	case a.Asked == ForBlocking && age < 6*a.TargetDuration:
		f.add("http-cache-blocking", "%s may be kept for %v, less than 6 target durations", a.URL, age)
	case a.Asked == ForPlaylist && (age < 0 || age > a.TargetDuration/2):
		f.add("http-cache-plain", "%s has Cache-Control %q; half a target duration is %v", a.URL, a.Header.Get("Cache-Control"), a.TargetDuration/2)
	}
}

// directive says whether Cache-Control has a directive (RFC 9111, 5.2).
func (a *Answer) directive(name string) bool {
	return slices.Contains(a.cacheControl(), name)
}

func (a *Answer) cacheControl() []string {
	list := strings.Split(strings.ToLower(strings.Join(a.Header.Values("Cache-Control"), ",")), ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// maxAge is how long the answer may be kept, negative when it does not say.
func (a *Answer) maxAge() time.Duration {
	for _, d := range a.cacheControl() {
		if v, ok := strings.CutPrefix(d, "max-age="); ok {
			if n, err := strconv.ParseUint(v, 10, 31); err == nil {
				return time.Duration(n) * time.Second
			}
		}
	}
	if a.directive("no-store") || a.directive("no-cache") {
		return 0
	}
	return -1
}

// CheckBlocked checks that the answer to a blocking reload has what it was asked
// for: the part, or with part -1 the complete segment.
func CheckBlocked(playlist []byte, msn uint64, part int) error {
	m, err := ParseMedia(playlist)
	if err != nil {
		return err
	}
	return m.checkBlocked(msn, part).err()
}

func (m *Media) checkBlocked(msn uint64, part int) Findings {
	var f Findings
	next, nextPart := m.Next()
	if nextPart < 0 {
		part, nextPart = 0, 0 // a playlist without parts
	} else if part < 0 {
		msn, part = msn+1, -1 // its segment must be complete
	}
	if !m.Ended && !(place{msn, part}).before(place{next, nextPart}) {
		f.add("http-block", "%d.%d was asked for, the playlist goes to %s", msn, part, m.last())
	}
	return f
}
