package transcode

import "github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"

// Costs in cores, measured with BenchmarkVideo and BenchmarkAudio (libx264
// superfast) and rounded up, since a camera's picture moves more than a test
// picture: 0.14 for 480p of 720p at 30 frames a second, 0.32 for 720p of VP8.
const (
	audioCost  = 0.03
	encodeCost = 0.0085 // of a million pixels a second
)

// decodeCost is what a million pixels a second of a codec take, with scaling.
func decodeCost(c cmaf.VideoCodec) float64 {
	switch c {
	case cmaf.H264:
		return 0.0012
	case cmaf.AV1:
		return 0.0045
	}
	return 0.0030
}

// videoCost is what a rung takes of a source.
func videoCost(s Source, rung int) float64 {
	fps := s.FrameRate
	if fps <= 0 {
		fps = defaultFrameRate
	}
	w, h := size(s.Width, s.Height, rung)
	in, out := float64(s.Width*s.Height)*fps/1e6, float64(w*h)*fps/1e6
	return in*decodeCost(s.Codec) + out*encodeCost
}
