package transcode

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// AudioTimescale is the units per second of what audio sidecars make, unless
// another rate is asked for.
const AudioTimescale = 48000

// aacRates are the sample rates that AAC has numbers for, in their order
// (14496-3, table 1.18), in Hz. No encoder knows others.
var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// AudioConfig is what an audio sidecar does, and who hears of it. For the
// functions holds what VideoConfig says.
type AudioConfig struct {
	Name   string // for the log
	Source cmaf.AudioConfig
	Codec  cmaf.AudioCodec // what is made: AAC-LC or Opus
	// Rate of what is made, one of AAC's, in Hz, 0: AudioTimescale, which Opus
	// always has; Channels 1 or 2, 0: as many as the source has.
	Rate, Channels int
	Bitrate        int // bits per second; 0: 128k and 80k for AAC, 96k and 48k for Opus, stereo and mono
	Limits         Limits

	// Out takes a frame of AAC, 1024 samples, or a packet of Opus, 960 samples, at
	// the time when its first sample plays, in samples of what is made since the
	// stream's first key frame: what the encoder puts before the first sound is
	// taken off. Each follows upon the one before, except after a gap.
	Out func(f frame.Audio, at int64)
	// Gap says that nothing will come for from <= t < to, in the same ticks.
	Gap    func(from, to int64)
	Failed func(reason string)
}

// Times in the source's stream, and what is made of them.
const (
	// Times that jump by more are a gap; by less, ffmpeg fills with silence.
	maxSilence = 2 * time.Second
	// The same after the publisher was away, when the timeline may jump on purpose.
	maxBreak = 100 * time.Millisecond
	// Times that differ by less are the same: rounding.
	audioTolerance = time.Millisecond
)

// Audio makes AAC or Opus of the audio of a stream. It is a frame.Tap that takes
// no notice of video.
type Audio struct {
	cfg    AudioConfig
	made   cmaf.AudioConfig
	rate   int64 // of made, Hz
	tools  Tools
	queue  *queue
	sup    *supervisor
	done   chan struct{}
	closed sync.Once

	// Of the goroutine:
	next int64 // the time of the next packet, if none is missing
	base int64 // the time of the process's first packet
	nut  nutWriter
	buf  []byte

	mu      sync.Mutex
	muted   bool
	begun   bool
	cursor  int64 // up to where all was given or reported
	arrival time.Time
	out     int64
	lost    int64
}

// NewAudio starts a sidecar. Its first process starts with the first packet.
func NewAudio(tools Tools, cfg AudioConfig, log *slog.Logger) *Audio {
	cfg.Limits = cfg.Limits.withDefaults()
	made := cfg.made()
	a := &Audio{
		cfg: cfg, made: made, rate: int64(made.SampleRate), tools: tools, done: make(chan struct{}),
		queue: newQueue(cfg.Limits),
		sup:   newSupervisor(cfg.Name, tools.path, cfg.Limits, cfg.Failed, log),
	}
	go a.run()
	return a
}

// Config is what a decoder must know of what the sidecar makes.
func (a *Audio) Config() cmaf.AudioConfig { return a.made }

// MadeAudio is what a decoder must know of what a sidecar makes of a source when
// nothing is asked for but the codec.
func MadeAudio(source cmaf.AudioConfig, codec cmaf.AudioCodec) cmaf.AudioConfig {
	return AudioConfig{Source: source, Codec: codec}.made()
}

// CanGoOn says whether a sidecar can make what goes on in an audio track: of AAC
// the sample rate must be one of the standard ones.
func CanGoOn(track cmaf.AudioConfig) bool {
	return track.Codec == cmaf.Opus || slices.Contains(aacRates[:], track.SampleRate)
}

// made is what a decoder must know of what is made. Opus has no pre-skip, for
// the times of its packets have it in them.
func (c AudioConfig) made() cmaf.AudioConfig {
	made := cmaf.AudioConfig{Codec: c.Codec, SampleRate: AudioTimescale, Channels: cmp.Or(c.Channels, c.Source.Channels)}
	if made.Codec == cmaf.AAC {
		made.SampleRate = cmp.Or(c.Rate, AudioTimescale)
		// AAC-LC (2), the rate's number, channels: 14496-3, 1.6.2.1.
		index := slices.Index(aacRates[:], made.SampleRate)
		made.ASC = []byte{2<<3 | byte(index>>1), byte(index<<7) | byte(made.Channels)<<3}
	}
	return made
}

// Video does nothing.
func (a *Audio) Video(frame.Video, int64) {}

// Audio takes the next packet. It does not block.
func (a *Audio) Audio(f frame.Audio, at int64) {
	a.queue.pushAudio(input{data: f.Data, at: at, timestamp: f.Timestamp, arrival: f.Arrival})
}

// Break lets the times jump.
func (a *Audio) Break() { a.queue.gap() }

// End lets what is under way come out; it does not wait for that.
func (a *Audio) End() { a.queue.end() }

// Close ends the sidecar at once, if it has not ended by itself after End, and
// waits until its process is gone. The caller must not hold a lock that Out,
// Gap or Failed take.
func (a *Audio) Close() {
	a.closed.Do(func() {
		a.mu.Lock()
		a.muted = true
		a.mu.Unlock()
		a.sup.stop()
	})
	<-a.done
}

// Done is closed when the sidecar has ended, after End or Close.
func (a *Audio) Done() <-chan struct{} { return a.done }

// Stats returns what it has done so far.
func (a *Audio) Stats() Stats {
	s := Stats{Restarts: a.sup.restarts(), Failed: a.sup.given()}
	s.In, s.Dropped = a.queue.counts()
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Out, s.Lost = a.out, a.lost
	return s
}

func (a *Audio) run() {
	defer close(a.done)
	for {
		select {
		case <-a.sup.stopping:
			if exited := a.sup.exited(); exited != nil {
				<-exited
			}
			return
		case <-a.sup.exited():
			a.sup.reap()
		case <-a.queue.ready:
			if !a.drain() {
				a.sup.finish()
				return
			}
		}
	}
}

// drain handles what is in the queue; false: none will come any more.
func (a *Audio) drain() bool {
	for {
		select {
		case <-a.sup.stopping:
			return true
		default:
		}
		in, ok, ended := a.queue.pop()
		if !ok {
			return !ended
		}
		a.sup.reap()
		a.handle(in)
	}
}

func (a *Audio) handle(in input) {
	samples, err := packetSamples(a.cfg.Source, in.data)
	if err != nil { // ffmpeg would only complain
		a.count(&a.lost)
		return
	}
	if a.sup.running() != nil && a.jumps(in) {
		a.sup.finish()
	}
	a.next = in.at + samples
	if a.sup.running() == nil && !a.start(in.at) {
		a.count(&a.lost)
		a.missing(a.ticks(in.at))
		return
	}
	a.mu.Lock()
	a.arrival = in.arrival
	a.mu.Unlock()
	a.buf = a.nut.appendFrame(a.buf, in.data, in.at-a.base+int64(a.cfg.Source.Timescale()))
	// An error means that the process has ended, or will be killed for not reading.
	_ = a.sup.running().write(a.buf)
	a.buf = a.buf[:0]
}

// jumps tells whether a packet cannot be on the timeline of the process.
func (a *Audio) jumps(in input) bool {
	limit := maxSilence
	if in.fresh {
		limit = maxBreak
	}
	ahead := time.Duration(in.at-a.next) * time.Second / time.Duration(a.cfg.Source.Timescale())
	return ahead > limit || ahead < -maxBreak
}

// start begins a process at a packet.
func (a *Audio) start(at int64) bool {
	base := a.ticks(at)
	consume := func(out io.Reader, heard func()) error { return a.consume(out, heard, base) }
	if !a.sup.start(audioArgs(a.cfg), consume) {
		return false
	}
	a.base, a.nut = at, nutWriter{}
	a.buf = append(a.buf[:0], a.nut.header(a.cfg.Source)...)
	return true
}

// ticks makes a time of the source one of the output.
func (a *Audio) ticks(at int64) int64 {
	return rescale(at, a.rate, int64(a.cfg.Source.Timescale()))
}

// consume reads the output of a process, whose input begins at base.
func (a *Audio) consume(out io.Reader, heard func(), base int64) error {
	r, err := newNUTReader(out)
	for err == nil {
		var f nutFrame
		if f, err = r.next(); err != nil {
			break
		}
		if private := r.track.private; a.cfg.Codec == cmaf.AAC && (len(private) < 2 || string(private[:2]) != string(a.made.ASC)) {
			return fmt.Errorf("AAC with the configuration %x was asked for, ffmpeg makes %x", a.made.ASC, private)
		}
		heard()
		// One second was added to all times on the way in.
		at := rescale(f.pts, r.track.num*a.rate, r.track.denom) - a.rate + base
		a.give(at, base, append([]byte(nil), f.data...))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// give hands a packet on. What an encoder makes of the time before its input is
// priming, and dropped.
func (a *Audio) give(at, base int64, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tolerance := int64(audioTolerance) * a.rate / int64(time.Second)
	if at < base-tolerance {
		return
	}
	if a.begun && at-a.cursor < tolerance && at-a.cursor > -tolerance {
		at = a.cursor
	}
	if a.begun && at < a.cursor {
		return
	}
	if a.begun {
		a.gapTo(at)
	}
	a.begun, a.cursor = true, at+a.packet()
	a.out++
	if !a.muted {
		a.cfg.Out(frame.Audio{Data: data, Timestamp: uint32(at), Arrival: a.arrival}, at)
	}
}

// missing says that nothing comes up to a time. Less than a packet is no gap
// yet: it may be the priming of the next process.
func (a *Audio) missing(at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		a.begun, a.cursor = true, at
	}
	if at-a.cursor >= a.packet() {
		a.gapTo(at)
	}
}

// gapTo reports all up to a time as missing.
func (a *Audio) gapTo(at int64) {
	if at > a.cursor && a.cfg.Gap != nil && !a.muted {
		a.cfg.Gap(a.cursor, at)
	}
	a.cursor = max(a.cursor, at)
}

// packet is how many samples a packet of the output has.
func (a *Audio) packet() int64 {
	if a.cfg.Codec == cmaf.AAC {
		return 1024
	}
	return 960
}

func (a *Audio) count(n *int64) {
	a.mu.Lock()
	*n++
	a.mu.Unlock()
}

// packetSamples is the duration of a packet in its track's timescale: of Opus by
// its first bytes (RFC 6716, 3.1 and 3.2).
func packetSamples(c cmaf.AudioConfig, packet []byte) (int64, error) {
	if len(packet) == 0 {
		return 0, errors.New("an empty packet")
	}
	if c.Codec == cmaf.AAC {
		return 1024, nil
	}
	var samples int64
	switch config := packet[0] >> 3; {
	case config >= 16: // CELT: 2.5, 5, 10, 20 ms
		samples = 120 << (config & 3)
	case config >= 12: // hybrid: 10, 20 ms
		samples = 480 << (config & 1)
	case config&3 == 3: // SILK: 60 ms, or 10, 20, 40
		samples = 2880
	default:
		samples = 480 << (config & 3)
	}
	switch packet[0] & 3 {
	case 1, 2:
		samples *= 2
	case 3:
		if len(packet) < 2 {
			return 0, errors.New("an Opus packet without its frame count")
		}
		samples *= int64(packet[1] & 0x3f)
	}
	if samples == 0 || samples > 5760 {
		return 0, errors.New("an Opus packet of no or more than 120 ms")
	}
	return samples, nil
}
