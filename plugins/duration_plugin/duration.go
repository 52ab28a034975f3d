// Package durationplugin is the built-in validator that keeps out videos which
// are too short to be worth watching.
package durationplugin

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/sdk"
)

//go:embed plugin.json
var manifest []byte

// Manifest returns the plugin's plugin.json.
func Manifest() []byte { return manifest }

// minMillis is what a video's duration must be above.
const minMillis = 10_000

// Handler returns the plugin.
func Handler() sdk.Handler { return sdk.Validator(validate) }

func validate(_ context.Context, in sdk.Invocation) (sdk.Verdict, error) {
	if in.Video.DurationMillis > minMillis {
		return sdk.Valid(), nil
	}
	return sdk.Invalid(fmt.Sprintf("the video is %s s long; it must be longer than 10 s", seconds(in.Video.DurationMillis))), nil
}

// seconds shows ms with as many decimals as are needed to tell them from 10 s.
func seconds(ms int64) string {
	if ms%100 == 0 || ms < minMillis-1000 {
		return fmt.Sprintf("%.1f", float64(ms)/1000)
	}
	return fmt.Sprintf("%.3f", float64(ms)/1000)
}
