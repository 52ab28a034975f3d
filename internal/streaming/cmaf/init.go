package cmaf

// Marshal returns the init segment: ftyp and a moov without samples
// (14496-12, 8.2.1; CMAF 7.3.1).
func (i Init) Marshal() []byte {
	w := boxWriter{b: make([]byte, 0, 1536)}
	ftyp := w.open("ftyp")
	w.text("iso6")
	w.u32(0)
	w.text("iso6mp41")
	if i.Video == nil || i.Audio == nil {
		w.text("cmfc") // CMAF proper has one track in a file
	}
	w.close(ftyp)

	moov := w.open("moov")
	w.mvhd(1000, 0, AudioTrackID+1)
	if i.Video != nil {
		t := trackHeader{id: VideoTrackID, timescale: VideoTimescale, video: true,
			width: i.Video.Width, height: i.Video.Height}
		end := w.openTrack(t)
		w.emptyTables(func() { w.videoEntry(*i.Video) })
		w.closeTrack(end)
	}
	if i.Audio != nil {
		end := w.openTrack(trackHeader{id: AudioTrackID, timescale: i.Audio.Timescale()})
		w.emptyTables(func() { w.audioEntry(*i.Audio) })
		w.closeTrack(end)
	}
	mvex := w.open("mvex")
	if i.Video != nil {
		w.trex(VideoTrackID)
	}
	if i.Audio != nil {
		w.trex(AudioTrackID)
	}
	w.close(mvex)
	w.close(moov)
	return w.b
}

// emptyTables writes a stbl that has sample entries and no samples.
func (w *boxWriter) emptyTables(entry func()) {
	stbl := w.open("stbl")
	stsd := w.openFull("stsd", 0, 0)
	w.u32(1)
	entry()
	w.close(stsd)
	for _, kind := range []string{"stts", "stsc", "stsz", "stco"} {
		at := w.openFull(kind, 0, 0)
		if kind == "stsz" {
			w.u32(0) // sample_size: each its own
		}
		w.u32(0) // entries
		w.close(at)
	}
	w.close(stbl)
}

func (w *boxWriter) trex(track uint32) {
	at := w.openFull("trex", 0, 0)
	w.u32(track)
	w.u32(1) // default_sample_description_index
	w.zeros(12)
	w.close(at)
}
