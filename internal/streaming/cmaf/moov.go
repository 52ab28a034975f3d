package cmaf

// The parts of a moov that init segments and progressive files share.

// unityMatrix is the transformation of an unturned picture (14496-12, 6.2.2).
var unityMatrix = [9]uint32{0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000}

// mvhd writes the movie header (8.2.2); duration is in units of timescale.
func (w *boxWriter) mvhd(timescale uint32, duration uint64, nextTrack uint32) {
	at := w.openFull("mvhd", 1, 0)
	w.zeros(16) // creation and modification time: not told
	w.u32(timescale)
	w.u64(duration)
	w.u32(0x10000) // rate 1.0
	w.u16(0x100)   // volume 1.0
	w.zeros(10)
	for _, v := range unityMatrix {
		w.u32(v)
	}
	w.zeros(24)
	w.u32(nextTrack)
	w.close(at)
}

// trackHeader is what differs in the headers of tracks.
type trackHeader struct {
	id            uint32
	timescale     uint32
	duration      uint64 // in timescale
	movieDuration uint64 // in the movie's timescale
	video         bool
	width, height int // pixels, video only
	edits         []edit
}

// edit is an entry of an edit list (8.6.6). mediaTime -1 is an empty edit.
type edit struct {
	duration  uint64 // in the movie's timescale
	mediaTime int64  // in the track's timescale
}

// openTrack writes a track up to where its stbl belongs (8.3.1, 8.4) and
// returns the open boxes for closeTrack.
func (w *boxWriter) openTrack(t trackHeader) [3]int {
	trak := w.open("trak")
	w.tkhd(t)
	if len(t.edits) > 0 {
		edts := w.open("edts")
		elst := w.openFull("elst", 1, 0)
		w.u32(uint32(len(t.edits)))
		for _, e := range t.edits {
			w.u64(e.duration)
			w.u64(uint64(e.mediaTime))
			w.u32(0x10000) // media_rate 1.0
		}
		w.close(elst)
		w.close(edts)
	}
	mdia := w.open("mdia")
	mdhd := w.openFull("mdhd", 1, 0)
	w.zeros(16)
	w.u32(t.timescale)
	w.u64(t.duration)
	w.u16(0x55c4) // language: und
	w.u16(0)
	w.close(mdhd)
	w.hdlr(t.video)
	minf := w.open("minf")
	w.mediaHeader(t.video)
	w.dinf()
	return [3]int{minf, mdia, trak}
}

func (w *boxWriter) closeTrack(open [3]int) {
	for _, at := range open {
		w.close(at)
	}
}

func (w *boxWriter) tkhd(t trackHeader) {
	at := w.openFull("tkhd", 1, 3) // enabled, in the movie
	w.zeros(16)
	w.u32(t.id)
	w.u32(0)
	w.u64(t.movieDuration)
	w.zeros(12) // reserved, layer, alternate_group
	if t.video {
		w.u16(0)
	} else {
		w.u16(0x100) // volume 1.0
	}
	w.u16(0)
	for _, v := range unityMatrix {
		w.u32(v)
	}
	w.u32(uint32(t.width) << 16)
	w.u32(uint32(t.height) << 16)
	w.close(at)
}

func (w *boxWriter) hdlr(video bool) {
	kind, name := "soun", "Audio\x00"
	if video {
		kind, name = "vide", "Video\x00"
	}
	at := w.openFull("hdlr", 0, 0)
	w.u32(0)
	w.text(kind)
	w.zeros(12)
	w.text(name)
	w.close(at)
}

// mediaHeader writes vmhd (12.1.2) or smhd (12.2.2).
func (w *boxWriter) mediaHeader(video bool) {
	if video {
		at := w.openFull("vmhd", 0, 1)
		w.zeros(8)
		w.close(at)
		return
	}
	at := w.openFull("smhd", 0, 0)
	w.zeros(4)
	w.close(at)
}

// dinf says that the samples are in this file (8.7.1).
func (w *boxWriter) dinf() {
	dinf := w.open("dinf")
	dref := w.openFull("dref", 0, 0)
	w.u32(1)
	url := w.openFull("url ", 0, 1)
	w.close(url)
	w.close(dref)
	w.close(dinf)
}
