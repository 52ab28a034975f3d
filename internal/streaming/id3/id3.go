// Package id3 writes and reads the timed metadata of a stream: viewers'
// reactions as ID3v2.4 tags (id3.org, "ID3 tag version 2.4.0"), carried in emsg
// boxes as "Carriage of ID3 Timed Metadata in CMAF" (AOM, 2022) says. It is
// pure: bytes in, bytes out.
//
// A tag has one TXXX frame (4.2.6 of the frames document) for each reaction,
// with the description serverlessvideo.reaction and a JSON object as its value:
//
//	{"type":"❤️","x":0.25,"y":0.5,"userId":"user-1"}
//	{"type":"❤️","x":0.25,"y":0.5,"count":17}
//
// The second form stands for that many reactions which were too many to tell
// one by one, and has the place of the last of them.
package id3

import (
	"encoding/json"
	"math"
	"unicode/utf8"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Description is that of every TXXX frame.
const Description = "serverlessvideo.reaction"

// Limits of what is written and read, in bytes.
const (
	MaxItem = 1 << 10 // a frame with its header
	MaxTag  = 8 << 10 // a tag with its header: the reactions of one part
)

// MaxCount is how many reactions an item stands for at most.
const MaxCount = math.MaxInt32

// Reaction is what a viewer sent, or several of the same type.
type Reaction struct {
	Type   string  `json:"type"`             // an emoji or a short word
	X      float64 `json:"x"`                // place on the picture, 0 is left, 1 is right
	Y      float64 `json:"y"`                // 0 is the top, 1 the bottom
	UserID string  `json:"userId,omitempty"` // empty when merged
	Count  int     `json:"count,omitempty"`  // of merged reactions; 0 is one
}

// Times returns how many reactions r stands for.
func (r Reaction) Times() int { return max(r.Count, 1) }

// check says whether r can be in a tag. Errors: errs.Invalid.
func (r Reaction) check() error {
	switch {
	case r.Type == "" || !utf8.ValidString(r.Type) || !utf8.ValidString(r.UserID):
		return errs.New(errs.Invalid, "a reaction needs a type, and its texts are UTF-8")
	case !onPicture(r.X) || !onPicture(r.Y):
		return errs.New(errs.Invalid, "a reaction's x and y lie between 0 and 1")
	case r.Count < 0 || r.Count > MaxCount:
		return errs.Newf(errs.Invalid, "a reaction's count is between 0 and %d", MaxCount)
	}
	return nil
}

func onPicture(v float64) bool { return v >= 0 && v <= 1 } // NaN is not

// value returns the JSON of a reaction.
func (r Reaction) value() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	v, err := json.Marshal(r)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "a reaction cannot be written as JSON")
	}
	return v, nil
}
