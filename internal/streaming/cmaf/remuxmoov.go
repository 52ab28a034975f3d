package cmaf

import "encoding/binary"

// movieTimescale is that of the progressive file: fine enough that edits are
// exact to a video tick.
const movieTimescale = VideoTimescale

// offsetTable is a place in the moov where chunk offsets are to be entered.
type offsetTable struct {
	at     int
	chunks []*chunk
}

// header returns all of the file that stands before the media: ftyp, moov and
// the header of the mdat. Places above narrow take 64 bits.
func (p *remuxPlan) header(narrow int64) []byte {
	w := &boxWriter{}
	ftyp := w.open("ftyp")
	w.text("isom")
	w.u32(0x200)
	w.text("isomiso2mp41")
	if len(p.videoConfigs) > 0 && (p.videoConfigs[0].Codec == H264 || p.videoConfigs[0].Codec == AV1) {
		w.text(p.videoConfigs[0].entryKind()) // these are brands too
	}
	w.close(ftyp)

	wide := p.mediaSize > narrow-(1<<20)-p.tableSize()
	moov := w.open("moov")
	w.mvhd(movieTimescale, p.movieTime(p.duration), AudioTrackID+1)
	var tables []offsetTable
	for _, t := range p.tracks() {
		tables = append(tables, p.writeTrack(w, t, wide))
	}
	w.close(moov)

	mdat := w.open("mdat")
	if wide {
		w.put32(mdat, 1)
		w.u64(uint64(p.mediaSize) + 16)
	} else {
		w.put32(mdat, uint32(p.mediaSize)+8)
	}
	for _, t := range tables {
		t.fill(w.b, int64(len(w.b)), wide)
	}
	return w.b
}

func (t offsetTable) fill(b []byte, media int64, wide bool) {
	at := t.at
	for _, c := range t.chunks {
		if wide {
			binary.BigEndian.PutUint64(b[at:], uint64(media+c.offset))
			at += 8
		} else {
			binary.BigEndian.PutUint32(b[at:], uint32(media+c.offset))
			at += 4
		}
	}
}

// tableSize returns an upper bound of the bytes of all sample tables.
func (p *remuxPlan) tableSize() int64 {
	n := 0
	for _, t := range p.tracks() {
		n += 4*len(t.sizes) + 8*len(t.deltas) + 8*len(t.offsets) + 4*len(t.keys) + 20*len(t.chunks)
	}
	return int64(n)
}

func (p *remuxPlan) movieTime(ns int64) uint64 {
	return uint64(max(fromNS(ns, movieTimescale), 0))
}

// writeTrack writes a trak with all its tables, chunk offsets left open.
func (p *remuxPlan) writeTrack(w *boxWriter, t *trackPlan, wide bool) offsetTable {
	head := trackHeader{id: AudioTrackID, timescale: t.timescale, duration: t.length()}
	if t == p.video {
		head.id, head.video = VideoTrackID, true
		head.width, head.height = p.largest()
	}
	raise := p.setEdits(&head, t)
	trak := w.openTrack(head)
	stbl := w.open("stbl")
	p.writeEntries(w, t)
	w.writeDeltas(t.deltas)
	w.writeOffsets(t.offsets, raise)
	w.writeKeys(t)
	w.writeChunkMap(t.chunks)
	w.writeSizes(t.sizes)
	table := w.openOffsets(t.chunks, wide)
	if t == p.audio && p.audioConfigs[0].Codec == Opus {
		w.writeRoll(len(t.sizes), t.deltas[0].value)
	}
	w.close(stbl)
	w.closeTrack(trak)
	return table
}

// setEdits gives the track its edit list (14496-12, 8.6.6): an empty edit when
// it starts after the movie, then all of it from the first sample shown. It
// returns what must be added to all composition offsets, because a media time
// cannot be negative.
func (p *remuxPlan) setEdits(head *trackHeader, t *trackPlan) (raise int64) {
	shown := t.firstShown()
	mediaTime := shown - t.start
	if mediaTime < 0 {
		raise, mediaTime = -mediaTime, 0
	}
	wait := p.movieTime(t.ns(shown) - p.zero)
	length := p.movieTime(t.ns(t.lastShown) - t.ns(shown))
	head.movieDuration = wait + length
	if wait == 0 && mediaTime == 0 {
		return raise
	}
	if wait > 0 {
		head.edits = append(head.edits, edit{duration: wait, mediaTime: -1})
	}
	head.edits = append(head.edits, edit{duration: length, mediaTime: mediaTime})
	return raise
}

// writeEntries writes the stsd (8.5.2).
func (p *remuxPlan) writeEntries(w *boxWriter, t *trackPlan) {
	stsd := w.openFull("stsd", 0, 0)
	if t == p.video {
		w.u32(uint32(len(p.videoConfigs)))
		for _, c := range p.videoConfigs {
			w.videoEntry(c)
		}
	} else {
		w.u32(uint32(len(p.audioConfigs)))
		for _, c := range p.audioConfigs {
			w.audioEntry(c)
		}
	}
	w.close(stsd)
}

// writeDeltas writes the stts (8.6.1.2).
func (w *boxWriter) writeDeltas(deltas []repeat) {
	at := w.openFull("stts", 0, 0)
	w.u32(uint32(len(deltas)))
	for _, d := range deltas {
		w.u32(d.count)
		w.u32(uint32(d.value))
	}
	w.close(at)
}

// writeOffsets writes the ctts (8.6.1.3), unless all offsets are 0.
func (w *boxWriter) writeOffsets(offsets []repeat, raise int64) {
	if len(offsets) == 1 && offsets[0].value+raise == 0 {
		return
	}
	version := uint8(0)
	for _, o := range offsets {
		if o.value+raise < 0 {
			version = 1
		}
	}
	at := w.openFull("ctts", version, 0)
	w.u32(uint32(len(offsets)))
	for _, o := range offsets {
		w.u32(o.count)
		w.u32(uint32(int32(o.value + raise)))
	}
	w.close(at)
}

// writeKeys writes the stss (8.6.2), unless every sample is a key sample.
func (w *boxWriter) writeKeys(t *trackPlan) {
	if len(t.keys) == len(t.sizes) {
		return
	}
	at := w.openFull("stss", 0, 0)
	w.u32(uint32(len(t.keys)))
	for _, n := range t.keys {
		w.u32(n)
	}
	w.close(at)
}

// writeChunkMap writes the stsc (8.7.4): which chunks have how many samples of
// which entry.
func (w *boxWriter) writeChunkMap(chunks []*chunk) {
	at := w.openFull("stsc", 0, 0)
	count := len(w.b)
	w.u32(0)
	n := uint32(0)
	for i, c := range chunks {
		if i > 0 && c.samples == chunks[i-1].samples && c.entry == chunks[i-1].entry {
			continue
		}
		n++
		w.u32(uint32(i + 1))
		w.u32(c.samples)
		w.u32(uint32(c.entry + 1))
	}
	w.put32(count, n)
	w.close(at)
}

// writeSizes writes the stsz (8.7.3.2).
func (w *boxWriter) writeSizes(sizes []uint32) {
	at := w.openFull("stsz", 0, 0)
	w.u32(0)
	w.u32(uint32(len(sizes)))
	for _, s := range sizes {
		w.u32(s)
	}
	w.close(at)
}

// openOffsets writes an stco or co64 (8.7.5) to be filled in.
func (w *boxWriter) openOffsets(chunks []*chunk, wide bool) offsetTable {
	kind, bytes := "stco", 4
	if wide {
		kind, bytes = "co64", 8
	}
	at := w.openFull(kind, 0, 0)
	w.u32(uint32(len(chunks)))
	table := offsetTable{at: len(w.b), chunks: chunks}
	w.zeros(bytes * len(chunks))
	w.close(at)
	return table
}

// writeRoll says that an Opus decoder settles in 80 ms after a seek (Opus in
// ISOBMFF, 4.3.6.2), as a sample group for all samples (14496-12, 8.9, 10.1).
func (w *boxWriter) writeRoll(samples int, delta int64) {
	const settle = OpusTimescale * 80 / 1000
	frames := (settle + max(delta, 1) - 1) / max(delta, 1)
	sgpd := w.openFull("sgpd", 1, 0)
	w.text("roll")
	w.u32(2) // default_length
	w.u32(1)
	w.u16(uint16(int16(-min(frames, 32))))
	w.close(sgpd)
	sbgp := w.openFull("sbgp", 0, 0)
	w.text("roll")
	w.u32(1)
	w.u32(uint32(samples))
	w.u32(1)
	w.close(sbgp)
}
