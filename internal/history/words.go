package history

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxText  = 500 // characters of a text that somebody else wrote
	maxNotes = 10
)

// clean makes one line of valid UTF-8 of at most maxText characters.
func clean(s string) string {
	// A long text is cut before it is worked on; no character has more bytes.
	s = s[:min(len(s), maxText*utf8.UTFMax)]
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxText {
		s = strings.TrimSpace(string(runes[:maxText-1])) + "…"
	}
	return s
}

func cleanAll(texts []string) []string {
	var out []string
	for _, t := range texts[:min(len(texts), maxNotes)] {
		if t = clean(t); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// span says how long something took, given in ms: "12 ms", "1.4 s", "2 min 5 s",
// "3 h 12 min". Clocks of different machines may differ: less than nothing is
// nothing.
func span(ms int64) string {
	d := time.Duration(max(0, ms)) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	if s := d.Round(time.Second); s < time.Hour {
		return pair(int64(s/time.Minute), "min", int64(s%time.Minute/time.Second), "s")
	}
	m := d.Round(time.Minute)
	return pair(int64(m/time.Hour), "h", int64(m%time.Hour/time.Minute), "min")
}

func pair(large int64, largeUnit string, small int64, smallUnit string) string {
	switch {
	case large == 0:
		return fmt.Sprintf("%d %s", small, smallUnit)
	case small == 0:
		return fmt.Sprintf("%d %s", large, largeUnit)
	}
	return fmt.Sprintf("%d %s %d %s", large, largeUnit, small, smallUnit)
}

// bytes says a size: "812 B", "4.2 MB". Units are powers of 1000.
func bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(0, n))
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB"} {
		if v /= 1000; v < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

// count says how many: "1 plugin", "3 plugins".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// joined puts together what is not empty.
func joined(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, " · ")
}
