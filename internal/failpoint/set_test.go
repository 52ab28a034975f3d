package failpoint_test

import (
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

func TestHit(t *testing.T) {
	tests := []struct {
		text string
		of   string
		want string // of five passings: one letter each, - for nothing
	}{
		{"", "", "-----"},
		{"other=kill", "", "-----"},
		{"p=kill", "", "kkkkk"},
		{"p=kill@3", "", "--k--"},
		{"p=error:no space@2-3", "", "-ee--"},
		{"p=delay:5ms@4-", "", "---dd"},
		{"p(st-1)=error:poison", "a st-1", "eeeee"},
		{"p(st-1)=error:poison", "a st-2", "-----"},
		{"p(x&st-1)=error", "a st-1", "eeeee"},
		{"p(y&st-1)=error", "a st-1", "-----"},
		{"p=jump:-1h@2", "", "-j---"},
		{"p=value:7@1; p=kill@2", "", "vk---"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			s, err := failpoint.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for range 5 {
				due := s.Hit("p", "x", tt.of)
				if len(due) == 0 {
					got.WriteByte('-')
				} else {
					got.WriteByte(due[0].Kind[0])
				}
			}
			if got.String() != tt.want {
				t.Errorf("got %s, want %s", got.String(), tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"p", "=kill", "p=die", "p=delay:soon", "p=value:x", "p=kill@x", "p=kill@1-x"} {
		if _, err := failpoint.Parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
