package transcode

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// VideoConfig is what a video sidecar does, and who hears of it. The functions
// are called one at a time, in the order of their times, and never after Close
// has returned. They must not call the sidecar.
type VideoConfig struct {
	Name      string  // for the log
	Height    int     // of the picture, see Rung.Height; 0: that of the source
	FrameRate float64 // about how many frames a second come; 0: 30
	Bitrate   int     // bits per second; 0: by the size of the picture, see Bitrate
	Limits    Limits

	// Out takes an access unit of H264 without B-frames. Each frame that went in
	// comes out once, with the same at, and is a key frame where the source's was;
	// or it is inside of a gap. After B-frames Offset is not 0, but always rising
	// together with at.
	Out func(f frame.Video, at int64)
	// Gap says that nothing will come for the frames with from <= at < to, as soon
	// as that is known: a longer gap is many calls, each from where the last one
	// ended. nil: nobody asks.
	Gap func(from, to int64)
	// Failed is called once when the sidecar is given up; the reason is for the
	// log. Gaps go on. nil: nobody asks.
	Failed func(reason string)
}

func (c VideoConfig) frameRate() float64 {
	if c.FrameRate <= 0 {
		return defaultFrameRate
	}
	return c.FrameRate
}

// defaultFrameRate is that of phones and webcams.
const defaultFrameRate = 30

// ptsBase is the presentation time of a process's first frame, in ticks of
// cmaf.VideoTimescale: no time is negative then, whatever an encoder takes off.
const ptsBase = cmaf.VideoTimescale

// Video makes H264 of the video of a stream. It is a frame.Tap that takes no
// notice of audio.
type Video struct {
	cfg    VideoConfig
	tools  Tools
	queue  *queue
	sup    *supervisor
	ledger *ledger
	done   chan struct{}
	closed sync.Once

	// Of the goroutine:
	source *cmaf.VideoConfig // what the process was started for
	base   int64             // the place on the timeline of ptsBase
	buf    []byte
}

// NewVideo starts a sidecar. Its first process starts with the first key frame.
func NewVideo(tools Tools, cfg VideoConfig, log *slog.Logger) *Video {
	cfg.Limits = cfg.Limits.withDefaults()
	v := &Video{
		cfg: cfg, tools: tools, done: make(chan struct{}),
		queue:  newQueue(cfg.Limits),
		sup:    newSupervisor(cfg.Name, tools.path, cfg.Limits, cfg.Failed, log),
		ledger: &ledger{out: cfg.Out, gap: cfg.Gap},
	}
	go v.run()
	return v
}

// Video takes the next access unit. It does not block.
func (v *Video) Video(f frame.Video, at int64) {
	v.queue.pushVideo(input{data: f.Data, key: f.Key, config: f.Config, at: at, offset: f.Offset,
		timestamp: f.Timestamp, arrival: f.Arrival})
}

// Audio does nothing.
func (v *Video) Audio(frame.Audio, int64) {}

// Break waits for the next key frame.
func (v *Video) Break() { v.queue.gap() }

// End lets what is under way come out; it does not wait for that.
func (v *Video) End() { v.queue.end() }

// Close ends the sidecar at once, if it has not ended by itself after End, and
// waits until its process is gone. The caller must not hold a lock that Out,
// Gap or Failed take.
func (v *Video) Close() {
	v.closed.Do(func() {
		v.ledger.mute()
		v.sup.stop()
	})
	<-v.done
}

// Done is closed when the sidecar has ended, after End or Close.
func (v *Video) Done() <-chan struct{} { return v.done }

// Stats returns what it has done so far.
func (v *Video) Stats() Stats {
	s := Stats{Restarts: v.sup.restarts(), Failed: v.sup.given()}
	s.In, s.Dropped = v.queue.counts()
	s.Out, s.Lost = v.ledger.counts()
	return s
}

func (v *Video) run() {
	defer close(v.done)
	for {
		select {
		case <-v.sup.stopping:
			if exited := v.sup.exited(); exited != nil {
				<-exited
			}
			return
		case <-v.sup.exited():
			v.reap()
		case <-v.queue.ready:
			if !v.drain() {
				v.sup.finish()
				v.ledger.fail()
				v.ledger.end()
				return
			}
		}
	}
}

// drain handles what is in the queue; false: none will come any more.
func (v *Video) drain() bool {
	for {
		select {
		case <-v.sup.stopping:
			return true
		default:
		}
		in, ok, ended := v.queue.pop()
		if !ok {
			return !ended
		}
		v.reap()
		v.handle(in)
	}
}

// reap gives up what a process that has ended kept for itself.
func (v *Video) reap() {
	if v.sup.reap() {
		v.ledger.fail()
	}
}

func (v *Video) handle(in input) {
	if in.key && in.config != nil && !in.lost {
		v.prepare(in)
	}
	p := v.sup.running()
	if in.lost || p == nil {
		v.ledger.add(in, true)
		return
	}
	config := in.config
	if !in.key {
		config = nil
	}
	frame, err := appendIVFFrame(v.buf, v.source.Codec, config, in.data, in.at+int64(in.offset)-v.base+ptsBase)
	if err != nil { // no frame at all, so neither would ffmpeg find one
		v.ledger.add(in, true)
		return
	}
	v.buf = frame[:0]
	if shown(v.source.Codec, in.data) {
		v.ledger.add(in, false)
	}
	// An error means that the process has ended, or will be killed for not reading.
	_ = p.write(frame)
}

// prepare has a process that is right for a key frame. A process makes pictures
// of one size, so a source that has changed gets a new one.
func (v *Video) prepare(in input) {
	if v.sup.running() != nil {
		if v.source.Equal(*in.config) {
			return
		}
		v.sup.finish()
		v.ledger.fail()
	}
	v.source, v.base = in.config, in.at
	base := in.at
	consume := func(out io.Reader, heard func()) error { return v.consume(out, heard, base) }
	if v.sup.start(videoArgs(v.tools, v.cfg, in.config), consume) {
		v.buf = appendIVFHeader(v.buf[:0], in.config) // goes out with the first frame
	}
}

// consume reads the output of a process.
func (v *Video) consume(out io.Reader, heard func(), base int64) error {
	r, err := newNUTReader(out)
	var config *cmaf.VideoConfig
	for err == nil {
		var f nutFrame
		if f, err = r.next(); err != nil {
			break
		}
		if config == nil {
			if config, err = h264Config(r.track.private); err != nil {
				break
			}
		}
		heard()
		picture := frame.Video{Data: h264Sample(f.data), Key: f.key}
		if f.key {
			picture.Config = config
		}
		pts := rescale(f.pts, r.track.num*cmaf.VideoTimescale, r.track.denom)
		v.ledger.put(pts-ptsBase+base, picture)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// h264Config finds the parameter sets in what ffmpeg says of a track.
func h264Config(private []byte) (*cmaf.VideoConfig, error) {
	var sps, pps []byte
	for _, nal := range cmaf.SplitAnnexB(private) {
		switch cmaf.NALType(nal) {
		case cmaf.NALSPS:
			sps = nal
		case cmaf.NALPPS:
			pps = nal
		}
	}
	c, err := cmaf.ParseAVC(sps, pps)
	if err != nil {
		return nil, fmt.Errorf("what ffmpeg made: %w", err)
	}
	return &c, nil
}

// h264Sample makes a sample of an access unit in annex B.
func h264Sample(unit []byte) []byte {
	sample := make([]byte, 0, len(unit)+16)
	for _, nal := range cmaf.SplitAnnexB(unit) {
		switch cmaf.NALType(nal) {
		case cmaf.NALSPS, cmaf.NALPPS, cmaf.NALAUD:
		default:
			sample = cmaf.AppendAVCC(sample, nal)
		}
	}
	return sample
}

// rescale returns n·num/denom, rounded.
func rescale(n, num, denom int64) int64 {
	whole, rest := n/denom, n%denom
	return whole*num + (rest*num+denom/2)/denom
}
