package streamtest

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// Found is where ffmpeg finds the ends of black pictures and of silence, in
// seconds: where flashes and tones begin. The last of each is where all ends.
type Found struct {
	Flashes, Tones []float64
	Said           []byte // by ffmpeg
}

// FindFlashes has ffmpeg decode a file or URL whole. Black and silence last at
// least between seconds. Errors: ffmpeg's, with what it said.
func FindFlashes(ctx context.Context, from string, between float64) (Found, error) {
	out, err := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-copyts", "-i", from,
		"-vf", fmt.Sprintf("blackdetect=d=%g:pix_th=0.3", between), "-af", fmt.Sprintf("silencedetect=n=-15dB:d=%g", between),
		"-f", "null", "-").CombinedOutput()
	f := Found{Said: out}
	if err != nil {
		return f, fmt.Errorf("looking for flashes: %w: %s", err, out)
	}
	if f.Flashes, err = Numbers(`black_end:([\d.]+)`, out); err == nil {
		f.Tones, err = Numbers(`silence_end: ([\d.]+)`, out)
	}
	return f, err
}

// Numbers returns what the pattern's group finds.
func Numbers(pattern string, in []byte) ([]float64, error) {
	var all []float64
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(in, -1) {
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
