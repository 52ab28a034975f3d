package streaming

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/transcode"
)

// A browser does not say how large its picture will be: this is decided for.
const (
	expectedWidth  = 1280
	expectedHeight = 720
	// flushTimeout is how long sidecars may take for what is under way when a
	// broadcast ends.
	flushTimeout = 2 * time.Second
)

// plan is what a broadcast is made of, decided once, with what it holds of the
// budget for sidecars.
type plan struct {
	offered cmaf.VideoCodec // what the first publisher shall send
	video   cmaf.VideoCodec // of the source rung
	audio   *cmaf.AudioConfig
	made    *transcode.Plan
	gone    []string // renditions of before a restart that are not made any more
}

// plan decides how to take an offer. H264 passes; so do H265, VP9 and AV1, with
// H264 beside them where that can be made; of VP8 it must be made.
func (s *Service) plan(o ingest.Offer) (*plan, error) {
	if len(o.Video) == 0 {
		return nil, errs.New(errs.Unsupported, "the publisher offers no video codec that this server knows; it takes H264, H265, VP8, VP9 and AV1")
	}
	first := o.Video[0]
	made, err := s.budget.Decide(sourceOf(o, first))
	if err == nil {
		p := &plan{offered: first, video: first, audio: o.Audio, made: made}
		if !passes(first) {
			p.video = cmaf.H264
		}
		return p, nil
	}
	if i := slices.IndexFunc(o.Video, passes); i >= 0 {
		return &plan{offered: o.Video[i], video: o.Video[i], audio: o.Audio, made: transcode.NoPlan()}, nil
	}
	return nil, err
}

func sourceOf(o ingest.Offer, codec cmaf.VideoCodec) transcode.Source {
	src := transcode.Source{Codec: codec, Width: o.Width, Height: o.Height, Audio: o.Audio}
	if src.Width == 0 || src.Height == 0 {
		src.Width, src.Height = expectedWidth, expectedHeight
	}
	return src
}

// passes says whether a codec can be in a stream as it is.
func passes(c cmaf.VideoCodec) bool { return c != cmaf.VP8 }

// planAgain is the plan of a broadcast that another process began, by what is
// stored of it: what can be made of its rungs is made, the others are gone.
func (s *Service) planAgain(rec recorder.Recording, source cmaf.Init) *plan {
	p := &plan{audio: source.Audio, video: cmaf.H264, made: transcode.NoPlan()}
	if source.Video != nil {
		p.video = source.Video.Codec
		s.makeAgain(p, rec, source)
	}
	p.offered = p.video
	made := p.rungNames()
	if p.made.Audio == cmaf.AAC {
		made = append(made, live.AAC)
	}
	for _, rung := range rec.Rungs {
		if rung.Name != live.Source && !slices.Contains(made, rung.Name) {
			p.gone = append(p.gone, rung.Name)
		}
	}
	return p
}

// makeAgain takes the share of the machine that what is stored needs, as far as
// there is one.
func (s *Service) makeAgain(p *plan, rec recorder.Recording, source cmaf.Init) {
	had := func(name string) bool {
		return slices.ContainsFunc(rec.Rungs, func(r recorder.RungRecording) bool { return r.Name == name })
	}
	made, err := s.budget.Decide(transcode.Source{
		Codec: p.video, Width: max(source.Video.Width, expectedWidth), Height: max(source.Video.Height, expectedHeight), Audio: source.Audio,
	})
	if err != nil {
		return
	}
	for _, d := range slices.Clone(made.Decisions) {
		// Opus is heard by those who watch now, and not recorded.
		if !had(strings.ToLower(d.What)) && d.What != cmaf.Opus.String() {
			made.Drop(d.What)
		}
	}
	p.made = made
}

// rungs are those below the source, the best one first.
func (p *plan) rungs() []transcode.Rung {
	if p.made.Top != nil && passes(p.offered) {
		return append([]transcode.Rung{*p.made.Top}, p.made.Rungs...)
	}
	return p.made.Rungs
}

func (p *plan) rungNames() []string {
	var names []string
	for _, r := range p.rungs() {
		names = append(names, rungName(r))
	}
	return names
}

func rungName(r transcode.Rung) string { return strings.ToLower(r.Name) }

func (p *plan) release() {
	if p != nil {
		p.made.Release()
	}
}

func (p *plan) String() string {
	var words []string
	for _, d := range p.made.Decisions {
		if d.Granted {
			words = append(words, d.What)
		}
	}
	return strings.Join(words, " ")
}

// pick is how the first publisher's frames become those of the broadcast.
func (p *plan) pick() choice { return choice{video: p.offered, convert: p.offered != p.video} }

// choice is how a publisher's frames become those of the broadcast.
type choice struct {
	video        cmaf.VideoCodec // what it shall send
	convert      bool            // to H264
	convertAudio bool
	made         *transcode.Plan // what it holds of the budget; nil for nothing
}

// choose decides how another publisher's frames become those of the broadcast,
// whose codecs the first one fixed. What the one that it replaces holds of the
// machine, if there is one, is the new one's to have.
func (s *sidecars) choose(o ingest.Offer, old *session) (choice, error) {
	b := s.broadcast
	c := choice{video: b.video}
	if b.audio != nil && o.Audio != nil && !sameAudio(*b.audio, *o.Audio) {
		if err := b.service.tools.CanAudio(o.Audio.Codec, b.audio.Codec); err != nil || !transcode.CanGoOn(*b.audio) {
			return c, errs.Newf(errs.Unsupported, "this broadcast began with %s audio at %d Hz; send that, or end the broadcast first",
				b.audio.Codec, b.audio.SampleRate)
		}
		c.convertAudio = true
	}
	if slices.Contains(o.Video, b.video) {
		return c, nil
	}
	if b.video != cmaf.H264 || len(o.Video) == 0 {
		return c, errs.Newf(errs.Unsupported, "this broadcast began with %s; send that, or end the broadcast first", b.video)
	}
	if first := s.plan.offered; s.plan.made.Top != nil && first != b.video && slices.Contains(o.Video, first) {
		c.video, c.convert = first, true // as before: its share of the machine is still held
		return c, nil
	}
	var held *transcode.Plan
	if old != nil {
		held = old.via.made
	}
	made, err := b.service.budget.DecideInstead(transcode.Source{Codec: o.Video[0], Width: expectedWidth, Height: expectedHeight}, held)
	if err != nil {
		return c, errs.Newf(errs.CodeOf(err), "this broadcast began with %s; send that, or end the broadcast first (%s)", b.video, errs.MessageOf(err))
	}
	for _, d := range slices.Clone(made.Decisions) {
		if made.Top == nil || d.What != made.Top.Name {
			made.Drop(d.What)
		}
	}
	c.video, c.convert, c.made = o.Video[0], true, made
	return c, nil
}

// sameAudio says whether packets of one may go on in the track of the other.
func sameAudio(a, b cmaf.AudioConfig) bool {
	// Encoders write an AudioSpecificConfig of the same meaning in many ways.
	return a.Codec == b.Codec && (a.Codec == cmaf.Opus || a.SampleRate == b.SampleRate && a.Channels == b.Channels)
}

// via is the sidecars that a publisher's frames go through.
type via struct {
	video, audio frame.Tap
	running      []sidecar
	made         *transcode.Plan
}

// flush lets out what is under way, when the publisher brings no more.
func (v via) flush() { flush(v.running) }

func (v via) close() {
	for _, s := range v.running {
		s.Close()
	}
	if v.made != nil {
		v.made.Release()
	}
}

// sidecar is an ffmpeg process for one track.
type sidecar interface {
	frame.Tap
	Done() <-chan struct{}
	Close()
	Stats() transcode.Stats
}

// into makes the sidecars between a publisher and its broadcast.
func (s *sidecars) into(c choice, x *session) via {
	service := s.broadcast.service
	v := via{made: c.made}
	if c.convert {
		t := transcode.NewVideo(service.tools, transcode.VideoConfig{
			Name: s.broadcast.id + " " + c.video.String() + " to H264",
			Out:  func(f frame.Video, at int64) { x.live.PutVideo(f, at, time.Now()) },
		}, service.log)
		v.video = t
		v.running = append(v.running, t)
	}
	if c.convertAudio {
		t := transcode.NewAudio(service.tools, transcode.AudioConfig{
			Name: s.broadcast.id + " audio to " + s.broadcast.audio.Codec.String(), Source: *x.offer.Audio,
			Codec: s.broadcast.audio.Codec, Rate: s.broadcast.audio.SampleRate, Channels: s.broadcast.audio.Channels,
			Out: func(f frame.Audio, at int64) { x.live.PutAudio(f, at, time.Now()) },
		}, service.log)
		v.audio = t
		v.running = append(v.running, t)
	}
	return v
}

// sidecars is what makes the renditions of a broadcast.
type sidecars struct {
	broadcast *broadcast
	plan      *plan
	closing   sync.Once
	running   map[string]sidecar // by what they make
}

func newSidecars(b *broadcast, p *plan) *sidecars {
	return &sidecars{broadcast: b, plan: p, running: map[string]sidecar{}}
}

// aac is the rendition that will be made or once was, nil for none.
func (p *plan) aac() *cmaf.AudioConfig {
	if p.audio == nil || p.made.Audio != cmaf.AAC && !slices.Contains(p.gone, live.AAC) {
		return nil
	}
	c := transcode.MadeAudio(*p.audio, cmaf.AAC)
	return &c
}

// start lets them hear the stream.
func (s *sidecars) start() {
	b := s.broadcast
	for _, r := range s.plan.rungs() {
		name := rungName(r)
		t := transcode.NewVideo(b.service.tools, transcode.VideoConfig{
			Name: b.id + " " + r.Name, Height: r.Height,
			Out:    func(f frame.Video, at int64) { b.stream.RungVideo(name, f, at, time.Now()) },
			Gap:    func(_, to int64) { b.stream.RungGap(name, to-1, time.Now()) },
			Failed: func(string) { b.service.metrics.sidecarsFailed.Inc() },
		}, b.service.log)
		s.running[r.Name] = t
		b.stream.Tap(live.Source, 0, t)
	}
	if made := s.plan.made.Audio; made != 0 && s.plan.audio != nil {
		t := transcode.NewAudio(b.service.tools, transcode.AudioConfig{
			Name: b.id + " " + made.String(), Source: *s.plan.audio, Codec: made,
			Out:    func(f frame.Audio, at int64) { b.stream.MadeAudio(made, f, at, time.Now()) },
			Gap:    func(_, to int64) { b.stream.MadeGap(made, to, time.Now()) },
			Failed: func(string) { b.service.metrics.sidecarsFailed.Inc() },
		}, b.service.log)
		s.running[made.String()] = t
		b.stream.Tap("", s.plan.audio.Codec, t)
	}
}

// opus is the audio that viewers over WebRTC hear, nil for none.
func (s *sidecars) opus() *cmaf.AudioConfig {
	switch audio := s.plan.audio; {
	case audio == nil || audio.Codec == cmaf.Opus:
		return audio
	case s.plan.made.Audio == cmaf.Opus:
		c := transcode.MadeAudio(*audio, cmaf.Opus)
		return &c
	}
	return nil
}

// flush lets out what is under way, after the last frame.
func (s *sidecars) flush() { flush(slices.Collect(maps.Values(s.running))) }

// flush waits, for a while, until sidecars have brought all that they can.
func flush(running []sidecar) {
	for _, t := range running {
		t.End()
	}
	timeout := time.NewTimer(flushTimeout)
	defer timeout.Stop()
	for _, t := range running {
		select {
		case <-t.Done():
		case <-timeout.C:
			return
		}
	}
}

// close ends all processes and gives their share of the machine back.
func (s *sidecars) close() {
	s.closing.Do(func() {
		for _, t := range s.running {
			t.Close()
		}
		s.plan.release()
	})
}
