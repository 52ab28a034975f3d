package transcode

import (
	"fmt"
	"math"
	"strconv"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// maxPixels is the largest picture that is decoded: a sequence header of a few
// bytes could ask for gigabytes.
const maxPixels = 4096 * 2304

// common is how every ffmpeg of ours begins. It must not look at more input than
// it needs: probing would keep frames back. The protocols it may open are its
// own pipes.
func common(format string) []string {
	return []string{
		"-hide_banner", "-nostdin", "-nostats", "-v", "error", "-protocol_whitelist", "pipe",
		"-probesize", "32", "-analyzeduration", "0", "-f", format,
	}
}

// size is the width and height of the picture that a rung makes of a source: the
// shorter side becomes height, whichever way the phone is held; the aspect stays,
// sides are even, nothing is enlarged. Height 0 keeps the size.
func size(width, height, rung int) (w, h int) {
	short := min(width, height)
	if rung <= 0 || rung > short {
		rung = short
	}
	even := func(side int) int { return max(2, (side*rung+short)/(2*short)*2) }
	return even(width), even(height)
}

// Bitrate is what a rung of a size and frame rate is encoded with, bits per
// second: 1.2 Mbit/s for 854x480 at 30 fps, growing with the pixels a second to
// the power of 3/4, as quality per bit does.
func Bitrate(width, height int, fps float64) int {
	return int(1.2e6 * math.Pow(float64(width*height)*fps/(854*480*30), 0.75))
}

// videoArgs is the command line for one run. Threads: frame threads would keep a
// frame back each; one thread is enough for a rung, and four slices' worth for
// what is larger than 720p.
func videoArgs(t Tools, c VideoConfig, source *cmaf.VideoConfig) []string {
	w, h := size(source.Width, source.Height, c.Height)
	rate := c.Bitrate
	if rate <= 0 {
		rate = Bitrate(w, h, c.frameRate())
	}
	threads := "1"
	if w*h > 1280*720 {
		threads = "2"
	}
	args := common("ivf")
	args = append(args, "-max_pixels", strconv.Itoa(maxPixels), "-threads", "1")
	switch source.Codec {
	case cmaf.AV1:
		args = append(args, "-flags", "low_delay") // dav1d keeps frames back otherwise
	case cmaf.H265:
		args = append(args, "-c:v", "hevc") // ffmpeg 5.1 has no name for it in IVF
	}
	args = append(args, "-i", "pipe:0", "-map", "0:v:0",
		"-vf", fmt.Sprintf("scale=%d:%d:flags=bilinear,setsar=1", w, h), "-pix_fmt", "yuv420p")
	args = append(args, t.passthrough()...)
	return append(args, "-copyts", "-enc_time_base", "1:90000",
		"-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-profile:v", "baseline", "-threads", threads,
		"-b:v", strconv.Itoa(rate), "-maxrate", strconv.Itoa(rate*5/4), "-bufsize", strconv.Itoa(rate*3/2),
		"-bf", "0", "-force_key_frames", "source", "-forced-idr", "1",
		"-x264-params", fmt.Sprintf("keyint=infinite:scenecut=0:fps=%d/1000", int(c.frameRate()*1000)),
		"-avoid_negative_ts", "disabled", "-flush_packets", "1", "-f", "nut", "pipe:1")
}

// audioArgs is the command line for one run. The filter resamples and,
// where a packet was lost, fills with silence, so that as much sound comes out as
// time has passed.
func audioArgs(c AudioConfig) []string {
	made := c.made()
	sampling := strconv.Itoa(made.SampleRate)
	args := append(common("nut"), "-threads", "1", "-i", "pipe:0", "-map", "0:a:0",
		"-af", "aresample="+sampling+":async=1:min_hard_comp=0.01",
		"-ar", sampling, "-ac", strconv.Itoa(made.Channels), "-threads", "1")
	rate := c.Bitrate
	if c.Codec == cmaf.AAC {
		args = append(args, "-c:a", "aac", "-profile:a", "aac_low")
		rate = orBitrate(rate, made.Channels, 80_000, 128_000)
	} else {
		args = append(args, "-c:a", "libopus", "-application", "audio", "-frame_duration", "20", "-vbr", "on")
		rate = orBitrate(rate, made.Channels, 48_000, 96_000)
	}
	return append(args, "-b:a", strconv.Itoa(rate), "-copyts",
		"-avoid_negative_ts", "disabled", "-flush_packets", "1", "-f", "nut", "pipe:1")
}

func orBitrate(rate, channels, mono, stereo int) int {
	switch {
	case rate > 0:
		return rate
	case channels == 1:
		return mono
	}
	return stereo
}
