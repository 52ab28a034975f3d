package live

import "strings"

// view is one of the two files that a rung is served as.
type view uint8

const (
	muxed     view = iota // with the source's audio
	videoOnly             // for players that take the audio from a rendition of its own
	views     = 2
)

// videoSuffix ends the name of a rung's video without audio.
const videoSuffix = "-video"

// directory is the view's folder of a rung.
func (v view) directory(rung string) string {
	if v == videoOnly {
		return rung + videoSuffix
	}
	return rung
}

// parseDirectory is the opposite of directory.
func parseDirectory(name string) (rung string, v view) {
	if rung, ok := strings.CutSuffix(name, videoSuffix); ok {
		return rung, videoOnly
	}
	return name, muxed
}
