package history

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSpan(t *testing.T) {
	for ms, want := range map[int64]string{
		-5: "0 ms", 0: "0 ms", 999: "999 ms", 1000: "1.0 s", 9_940: "9.9 s", 9_960: "10 s", 59_400: "59 s", 59_600: "1 min",
		61_000: "1 min 1 s", 3_599_400: "59 min 59 s", 3_599_600: "1 h", 11_520_000: "3 h 12 min", 90_000_000: "25 h",
	} {
		if got := span(ms); got != want {
			t.Errorf("span(%d) = %q, want %q", ms, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_940: "999.9 kB", 999_960: "1.0 MB", 4_200_000_000: "4.2 GB", 5e15: "5000.0 TB",
	} {
		if got := bytes(n); got != want {
			t.Errorf("bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain", 1)
	f.Add("\x00 \xff\n", maxText)
	f.Add("é", maxText+1)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > 3*maxText || len(s) > 1000 {
			return
		}
		got := clean(strings.Repeat(s, n))
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxText || strings.ContainsAny(got, "\x00\r\n\t") {
			t.Errorf("%q", got)
		}
		if clean(got) != got {
			t.Errorf("cleaned twice it is another: %q", got)
		}
	})
}
