package hlstest

import (
	"encoding/binary"
)

// children splits the boxes of a container (14496-12, 4.2). Boxes that do not
// fit are broken.
func children(body []byte) (map[string][][]byte, []string, error) {
	boxes := map[string][][]byte{}
	var order []string
	for len(body) > 0 {
		if len(body) < 8 {
			return nil, nil, broken("init", "%d bytes are left where a box belongs", len(body))
		}
		size := uint64(binary.BigEndian.Uint32(body))
		if size < 8 || size > uint64(len(body)) {
			return nil, nil, broken("init", "a box says it has %d bytes, %d are left", size, len(body))
		}
		kind := string(body[4:8])
		boxes[kind] = append(boxes[kind], body[8:size])
		order = append(order, kind)
		body = body[size:]
	}
	return boxes, order, nil
}

// checkInit checks the boxes of an init segment (the draft, 3.1.2).
func checkInit(f *Findings, uri string, data []byte) {
	top, order, err := children(data)
	if err != nil {
		f.addErr(uri, err)
		return
	}
	if len(order) < 2 || order[0] != "ftyp" || len(top["moov"]) != 1 {
		f.add("init", "%s has the boxes %q, not ftyp and moov", uri, order)
		return
	}
	if !iso6(top["ftyp"][0]) {
		f.add("init", "%s has no brand of iso6 or later in its ftyp", uri)
	}
	if len(top["mdat"]) > 0 {
		f.add("init", "%s has media", uri)
	}
	moov, _, err := children(top["moov"][0])
	if err != nil {
		f.addErr(uri, err)
		return
	}
	if len(moov["mvex"]) != 1 {
		f.add("init", "%s has no mvex", uri)
	}
	for _, mvhd := range moov["mvhd"] {
		if duration(mvhd, 16, 24) != 0 {
			f.add("init", "%s has a duration in mvhd", uri)
		}
	}
	for _, trak := range moov["trak"] {
		checkTrak(f, uri, trak)
	}
}

func checkTrak(f *Findings, uri string, trak []byte) {
	boxes, _, err := children(trak)
	if err != nil {
		f.addErr(uri, err)
		return
	}
	for _, tkhd := range boxes["tkhd"] {
		if duration(tkhd, 20, 28) != 0 {
			f.add("init", "%s has a duration in tkhd", uri)
		}
	}
	table := trak
	for _, kind := range []string{"mdia", "minf", "stbl"} {
		boxes, _, err := children(table)
		if err != nil || len(boxes[kind]) == 0 {
			f.add("init", "%s has a track without %s", uri, kind)
			return
		}
		table = boxes[kind][0]
	}
	if boxes, _, err = children(table); err != nil {
		f.addErr(uri, err)
		return
	}
	for _, stts := range boxes["stts"] {
		if len(stts) < 8 || binary.BigEndian.Uint32(stts[4:]) != 0 {
			f.add("init", "%s has samples", uri)
		}
	}
}

// duration reads the duration of mvhd or tkhd: 32 bits in version 0, 64 in
// version 1. Without it the value is not 0.
func duration(full []byte, at0, at1 int) uint64 {
	switch {
	case len(full) >= at1+8 && full[0] == 1:
		return binary.BigEndian.Uint64(full[at1:])
	case len(full) >= at0+4 && full[0] == 0:
		return uint64(binary.BigEndian.Uint32(full[at0:]))
	}
	return 1
}

// iso6 says whether ftyp names a brand that includes iso6 (14496-12, E;
// 23000-19, 7.2).
func iso6(ftyp []byte) bool {
	for i := 0; i+4 <= len(ftyp); i += 4 {
		if i == 4 {
			continue // the minor version
		}
		switch string(ftyp[i : i+4]) {
		case "iso6", "iso7", "iso8", "iso9", "isoa", "isob", "isoc", "cmfc", "cmf2":
			return true
		}
	}
	return false
}
