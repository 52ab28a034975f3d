package hlstest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What belongs to a server with an encoder, and the pace of a machine that is
// busy, is not this test's matter.
func exceptions() []string { return []string{"apple-2.3", "update-part", "update-segment"} }

func followed(t *testing.T, fault string, parts int) (FollowReport, error) {
	t.Helper()
	server := startOrigin(t, parts, fault)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return Follow(ctx, server.URL+"/master.m3u8", FollowOptions{Except: exceptions()})
}

func TestFollow(t *testing.T) {
	r, err := followed(t, "", 160)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Broken) > 0 {
		t.Errorf("a good stream breaks rules:\n%s", r)
	}
	if r.Segments != 32 || r.Parts != 317 || r.Playlists < 100 || r.Hints < 100 {
		t.Errorf("little was checked:\n%s", r)
	}
	if !strings.Contains(r.String(), "no rule is broken") {
		t.Errorf("the report is\n%s", r)
	}
}

func TestFollowFindsFaults(t *testing.T) {
	for _, test := range []struct {
		fault, rule string
		parts       int
	}{
		{"plain", "apple-10.1", 30},
		{"impatient", "http-block", 30},
		{"stale reports", "report-current", 50},
		{"renamed", "segment-changed", 50},
		{"skips too much", "delta-boundary", 140},
		{"hint not held", "http-hold", 60},
		{"lost part", "parts-are-segment", 50},
		{"old parts forgotten", "http-part-after", 120},
	} {
		t.Run(test.fault, func(t *testing.T) {
			r, err := followed(t, test.fault, test.parts)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Broken, func(b Broken) bool { return b.Rule.ID == test.rule }) {
				t.Errorf("%s is not found:\n%s", test.rule, r)
			}
			if !strings.Contains(r.String(), "BROKEN "+test.rule) {
				t.Errorf("the report does not tell it:\n%s", r)
			}
		})
	}
}

func TestFollowStops(t *testing.T) {
	server := startOrigin(t, 1_000_000, "")
	r, err := Follow(t.Context(), server.URL+"/master.m3u8", FollowOptions{For: 300 * time.Millisecond, Except: exceptions()})
	if err != nil || r.Playlists == 0 {
		t.Errorf("followed for a while: %v\n%s", err, r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Follow(ctx, server.URL+"/master.m3u8", FollowOptions{}); err == nil {
		t.Error("a context that is done does not stop it")
	}
	if r, err = Follow(t.Context(), server.URL+"/low/nothing", FollowOptions{}); err == nil {
		t.Errorf("something that is no playlist was followed:\n%s", r)
	}
}
