package rtmp

import (
	"context"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/flv"
)

const (
	// How long a broadcast waits for its audio, when metadata has announced it
	// and when not, by the clock or by the timestamps.
	announcedPatience = time.Second
	audioPatience     = 300 * time.Millisecond
	// How long audio may come without video.
	videoPatience = 5 * time.Second
	// What is held until the broadcast begins.
	maxHeldFrames = 512
	maxHeldBytes  = 32 << 20
)

// publication is what comes between publish and unpublish: it finds out which
// codecs there are, begins the broadcast and hands its frames on.
type publication struct {
	host      ingest.Host
	publisher ingest.Publisher
	log       *slog.Logger
	stats     *statistics

	channel string
	stream  uint32
	to      ingest.Session // nil until the broadcast has begun

	video     videoTrack
	audio     audioTrack
	clock     clock
	announced bool      // metadata says that there is audio
	since     time.Time // the first media
	firstAt   mediaTime // of video
	firstCame time.Time

	held      []held
	heldBytes int
	received  int // bytes before the broadcast began
	quiet     onceASecond
	skipped   bool // the log knows that there are tracks that are not taken
	delay     time.Duration
}

// held is a frame that waits for the broadcast, of one of the tracks.
type held struct {
	video *frame.Video
	audio *frame.Audio
	at    mediaTime
}

func newPublication(channel string, stream uint32, s *session) *publication {
	log := s.log.With("channel", channel)
	log.Info("an RTMP publisher has shown its key")
	return &publication{host: s.host, publisher: s, log: log, stats: &s.stats, channel: channel, stream: stream}
}

// media takes an audio or a video message. Without a publication it is ignored.
func (s *session) media(ctx context.Context, m chunk.Message) error {
	if s.take == nil {
		return nil
	}
	now := time.Now()
	s.until(now.Add(s.cfg.IdleTimeout))
	s.stats.messages.Add(1)
	p := s.take
	if p.since.IsZero() {
		p.since = now
	}
	if p.to != nil {
		p.to.Received(len(m.Payload), now)
	} else {
		p.received += len(m.Payload)
	}
	var err error
	if m.Type == chunk.Video {
		err = p.takeVideo(m, now)
	} else {
		err = p.takeAudio(m, now)
	}
	if err != nil || p.to != nil {
		return err
	}
	return p.tryBegin(ctx, now)
}

func (p *publication) takeVideo(m chunk.Message, now time.Time) error {
	tag, err := flv.ParseVideo(m.Payload)
	if err != nil {
		return p.damaged(err, now)
	}
	p.noteSkipped(tag.Skipped)
	switch tag.Kind {
	case flv.Header:
		return p.video.header(tag.Codec, tag.Data)
	case flv.Frame:
		at := p.clock.see(m.Timestamp, tag.Nano)
		f, err := p.video.frame(tag)
		if err != nil {
			return p.damaged(err, now)
		}
		if len(f.Data) > 0 {
			f.Timestamp, f.Arrival = uint32(at.ticks(cmaf.VideoTimescale)), now
			p.measure(at, now)
			p.handVideo(f, at)
		}
	}
	return nil
}

func (p *publication) takeAudio(m chunk.Message, now time.Time) error {
	tag, err := flv.ParseAudio(m.Payload)
	if err != nil {
		return p.damagedAudio(err, now)
	}
	p.noteSkipped(tag.Skipped)
	late := p.to != nil && p.audio.config == nil // the broadcast began without it
	switch {
	case late:
		p.complain(now, "audio came too late to be part of the broadcast; publish anew to have it")
	case tag.Kind == flv.Header:
		return p.audio.header(tag.Codec, tag.Data)
	case tag.Kind == flv.Frame && p.audio.config == nil:
		p.complain(now, "audio comes without a header that tells how to decode it")
	case tag.Kind == flv.Frame && tag.Codec == p.audio.config.Codec:
		at := p.clock.see(m.Timestamp, tag.Nano)
		ticks, shared := p.audio.place(at)
		p.handAudio(frame.Audio{Data: tag.Data, Timestamp: uint32(ticks), Arrival: now}, shared)
	}
	return nil
}

// measure learns how evenly video comes.
func (p *publication) measure(at mediaTime, now time.Time) {
	delay := now.Sub(p.since) - time.Duration(at)
	if p.firstCame.IsZero() {
		p.firstAt, p.firstCame, p.delay = at, now, delay
	}
	p.stats.arrived(delay, p.delay)
	p.delay = delay
}

// damaged counts a video message that cannot be used. What names a codec that
// is not taken ends the publication.
func (p *publication) damaged(err error, now time.Time) error {
	if errs.CodeOf(err) == errs.Unsupported {
		return err
	}
	p.complain(now, "an RTMP message cannot be used", "error", err)
	if p.to != nil {
		p.to.Dropped(1)
		p.to.Lost(now)
	}
	return nil
}

// damagedAudio is damaged for audio, whose gaps are filled. A broadcast that
// began without audio does not mind what it is.
func (p *publication) damagedAudio(err error, now time.Time) error {
	if errs.CodeOf(err) == errs.Unsupported && (p.to == nil || p.audio.config != nil) {
		return err
	}
	p.complain(now, "an RTMP message cannot be used", "error", err)
	if p.to != nil {
		p.to.Dropped(1)
	}
	return nil
}

func (p *publication) complain(now time.Time, words string, values ...any) {
	if p.quiet.due(now) {
		p.log.Warn(words, values...)
	}
}

func (p *publication) noteSkipped(skipped bool) {
	if skipped && !p.skipped {
		p.skipped = true
		p.log.Warn("several tracks of a kind come; only the first, track 0, is taken")
	}
}

// handVideo gives a frame to the broadcast, or holds it until that has begun.
func (p *publication) handVideo(f frame.Video, at mediaTime) {
	if p.to == nil {
		kept := f
		p.hold(held{video: &kept, at: at}, len(f.Data))
		return
	}
	if p.video.report.due(at) { // first, for the frame may be the one that all begins with
		p.to.VideoReport(reportOf(f.Timestamp, at.ticks(cmaf.VideoTimescale), cmaf.VideoTimescale))
	}
	p.to.Video(f)
}

// handAudio is handVideo for audio.
func (p *publication) handAudio(f frame.Audio, at mediaTime) {
	if p.to == nil {
		kept := f
		p.hold(held{audio: &kept, at: at}, len(f.Data))
		return
	}
	if p.audio.report.due(at) {
		rate := int64(p.audio.config.Timescale())
		p.to.AudioReport(reportOf(f.Timestamp, at.ticks(rate), rate))
	}
	p.to.Audio(f)
}

func (p *publication) hold(h held, size int) {
	p.held = append(p.held, h)
	p.heldBytes += size
}

// tryBegin begins the broadcast when its codecs are known.
func (p *publication) tryBegin(ctx context.Context, now time.Time) error {
	full := len(p.held) >= maxHeldFrames || p.heldBytes >= maxHeldBytes
	if p.video.config == nil {
		if full || p.video.codec == 0 && now.Sub(p.since) > videoPatience {
			return refusal{code: codeRejected, message: "no video that can be decoded came: a broadcast needs video in " + flv.VideoCodecs + ", with its header or a key frame first"}
		}
		return nil
	}
	if p.audio.config == nil && !full && !p.waited(now) {
		return nil
	}
	return p.begin(ctx)
}

// waited says whether the audio had its time to come.
func (p *publication) waited(now time.Time) bool {
	if p.firstCame.IsZero() {
		return false
	}
	patience := audioPatience
	if p.announced {
		patience = announcedPatience
	}
	return now.Sub(p.firstCame) >= patience || time.Duration(p.clock.last-p.firstAt).Abs() >= patience
}

// begin lets the publisher in and hands on what was held.
func (p *publication) begin(ctx context.Context) error {
	offer := ingest.Offer{
		Channel: p.channel, Protocol: "RTMP",
		Video: []cmaf.VideoCodec{p.video.codec}, Audio: p.audio.config,
		Width: p.video.config.Width, Height: p.video.config.Height,
	}
	to, err := p.host.Begin(ctx, offer, p.publisher)
	if err != nil {
		return refuse(err)
	}
	p.to = to
	p.to.Received(p.received, time.Now())
	for _, h := range p.held {
		if h.video != nil {
			p.handVideo(*h.video, h.at)
		} else {
			p.handAudio(*h.audio, h.at)
		}
	}
	p.held = nil
	return nil
}

// leave says that the publisher is gone.
func (p *publication) leave(forGood bool, reason string) {
	if p.to != nil {
		p.to.Leave(forGood, reason)
	}
}

// onceASecond keeps the log quiet.
type onceASecond struct{ last time.Time }

func (o *onceASecond) due(now time.Time) bool {
	if now.Sub(o.last) < time.Second {
		return false
	}
	o.last = now
	return true
}
