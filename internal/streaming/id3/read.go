package id3

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// ParseTag reads a tag that AppendTag wrote. It is strict: nothing but such
// frames, no padding, nothing after it, known JSON fields only. Errors:
// errs.Invalid.
func ParseTag(tag []byte) ([]Reaction, error) {
	if len(tag) > MaxTag {
		return nil, errs.Newf(errs.Invalid, "the ID3 tag has %d bytes, at most %d are read", len(tag), MaxTag)
	}
	if len(tag) < headerSize || !bytes.HasPrefix(tag, []byte("ID3\x04\x00\x00")) {
		return nil, errs.New(errs.Invalid, "this is no ID3v2.4.0 tag without flags")
	}
	if size, ok := syncsafe(tag[6:]); !ok || size != len(tag)-headerSize {
		return nil, errs.Newf(errs.Invalid, "the ID3 tag does not say its size, %d bytes after its header", len(tag)-headerSize)
	}
	var reactions []Reaction
	for rest := tag[headerSize:]; len(rest) > 0; {
		r, size, err := parseFrame(rest)
		if err != nil {
			return nil, err
		}
		reactions, rest = append(reactions, r), rest[size:]
	}
	if len(reactions) == 0 {
		return nil, errs.New(errs.Invalid, "the ID3 tag has no frame")
	}
	return reactions, nil
}

// parseFrame reads the frame that b begins with, and returns its size.
func parseFrame(b []byte) (r Reaction, size int, err error) {
	if len(b) < headerSize || !bytes.HasPrefix(b, []byte(frameID)) || b[8] != 0 || b[9] != 0 {
		return r, 0, errs.New(errs.Invalid, "the ID3 tag has something else than TXXX frames without flags")
	}
	n, ok := syncsafe(b[4:])
	size = headerSize + n
	if !ok || size > len(b) || size > MaxItem {
		return r, 0, errs.New(errs.Invalid, "a TXXX frame has a size that cannot be")
	}
	value, ok := bytes.CutPrefix(b[headerSize:size], []byte(utf8Encoding+Description+"\x00"))
	if !ok {
		return r, 0, errs.Newf(errs.Invalid, "a TXXX frame has another encoding than UTF-8 or another description than %s", Description)
	}
	r, err = parseValue(value)
	return r, size, err
}

func parseValue(value []byte) (Reaction, error) {
	var r Reaction
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, errs.Wrap(err, errs.Invalid, "a TXXX frame's value is no reaction")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errs.New(errs.Invalid, "something follows the JSON of a reaction")
	}
	return r, r.check()
}
