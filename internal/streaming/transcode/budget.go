package transcode

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// defaultShare is the part of the machine that transcoding may take.
const defaultShare = 0.6

// Source is what a publisher sends, as far as it decides what can be made of it.
type Source struct {
	Codec cmaf.VideoCodec
	// Width and Height are the largest that are to be expected. A browser begins
	// small and grows: what is decided then stays for the whole stream.
	Width, Height int
	FrameRate     float64           // 0: 30
	Audio         *cmaf.AudioConfig // nil: none
}

// Rung is one rendition of the picture.
type Rung struct {
	Name string // "480p"
	// Height is that of a picture lying on its long side; of one standing upright
	// it is the width. 0: that of the source. For VideoConfig.Height.
	Height int
	// Width and Height of what is made of the largest picture to be expected.
	MaxWidth, MaxHeight int
}

// Decision says what was decided of one thing that could be made.
type Decision struct {
	What    string // "H264", "AAC", "Opus", "480p", "360p"
	Granted bool
	Cost    float64 // cores
	Why     string  // a sentence for the broadcaster
}

// Plan is what sidecars a stream gets. It holds their share of the budget until
// Release.
type Plan struct {
	Top       *Rung           // H264 of a source in another codec; nil: the source is the top rung
	Rungs     []Rung          // below it, the largest first
	Audio     cmaf.AudioCodec // to be made beside the source's; 0: none
	Cost      float64         // cores
	Decisions []Decision

	budget *Budget // nil for a plan that holds nothing
	held   bool    // under the budget's lock
}

// Release gives the share back. It may be called again.
func (p *Plan) Release() {
	if p.budget == nil {
		return
	}
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	p.budget.free(p)
}

// NoPlan is a plan of no sidecars.
func NoPlan() *Plan { return &Plan{} }

// Drop takes out what the stream does not want after all, by Decision.What, and
// gives its share back. It is not for use together with another call.
func (p *Plan) Drop(what string) {
	i := slices.IndexFunc(p.Decisions, func(d Decision) bool { return d.What == what && d.Granted })
	if i < 0 {
		return
	}
	p.shrink(p.Decisions[i].Cost)
	p.Decisions = slices.Delete(p.Decisions, i, i+1)
	p.Rungs = slices.DeleteFunc(p.Rungs, func(r Rung) bool { return r.Name == what })
	if p.Top != nil && p.Top.Name == what {
		p.Top = nil
	}
	if p.Audio != 0 && p.Audio.String() == what {
		p.Audio = 0
	}
}

// shrink gives a part of the share back.
func (p *Plan) shrink(cost float64) {
	if p.budget == nil {
		return
	}
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	if p.held {
		p.Cost -= cost
		p.budget.used = max(0, p.budget.used-cost)
	}
}

// Usage is the state of a budget.
type Usage struct {
	Cores, Used float64 // there are; in use
	Streams     int     // with a plan
	// How often what was granted and refused since the start, by Decision.What.
	Granted, Refused map[string]int64
}

// Budget shares the machine among the sidecars of all streams. What a stream was
// given stays its own: load refuses sidecars to new streams alone.
type Budget struct {
	tools Tools
	cores float64

	mu      sync.Mutex
	used    float64
	streams int
	granted map[string]int64
	refused map[string]int64
}

// NewBudget makes a budget of a number of cores, 60 % of the machine's when it is
// 0 or less.
func NewBudget(tools Tools, cores float64) *Budget {
	if cores <= 0 {
		cores = defaultShare * float64(runtime.GOMAXPROCS(0))
	}
	return &Budget{tools: tools, cores: cores, granted: map[string]int64{}, refused: map[string]int64{}}
}

// Usage returns the state now.
func (b *Budget) Usage() Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := Usage{Cores: b.cores, Used: b.used, Streams: b.streams, Granted: map[string]int64{}, Refused: map[string]int64{}}
	for what, n := range b.granted {
		u.Granted[what] = n
	}
	for what, n := range b.refused {
		u.Refused[what] = n
	}
	return u
}

// Decide plans the sidecars of a stream and takes their share of the budget.
// H264 of a source in another codec comes first and must be had:
// errs.Unsupported when ffmpeg cannot make it, errs.Unavailable when there is no
// room; nothing is taken then. All else is left out where it cannot be had.
func (b *Budget) Decide(s Source) (*Plan, error) { return b.DecideInstead(s, nil) }

// DecideInstead is Decide for what comes in the place of another plan, which may
// be nil: that one's share counts as free. It is given back when there is a new
// plan, and stays as it is when there is none.
func (b *Budget) DecideInstead(s Source, old *Plan) (*Plan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := deciding{budget: b, source: s, plan: &Plan{budget: b}}
	if old != nil && old.held {
		d.freed = old.Cost
	}
	err := d.top()
	if err == nil {
		d.audio()
		d.rungs()
	}
	for _, x := range d.plan.Decisions {
		if x.Granted {
			b.granted[x.What]++
		} else {
			b.refused[x.What]++
		}
	}
	if err != nil {
		return nil, err
	}
	if old != nil {
		b.free(old)
	}
	b.used += d.plan.Cost
	b.streams++
	d.plan.held = true
	return d.plan, nil
}

// free gives the share of a plan back, once. The caller holds mu.
func (b *Budget) free(p *Plan) {
	if p.held {
		p.held = false
		b.used, b.streams = max(0, b.used-p.Cost), b.streams-1
	}
}

// deciding is a plan in the making, under the budget's lock.
type deciding struct {
	budget *Budget
	source Source
	plan   *Plan
	freed  float64 // cores of the plan that this one replaces
}

// used is what others hold and this plan takes.
func (d *deciding) used() float64 { return d.budget.used - d.freed + d.plan.Cost }

// top plans H264 of another codec.
func (d *deciding) top() error {
	s := d.source
	if s.Codec == cmaf.H264 {
		return nil
	}
	if s.Width*s.Height > maxPixels {
		err := errs.Newf(errs.Unsupported, "a picture of %dx%d pixels is too large to make H264 of %s; send at most 3840x2160, or H264", s.Width, s.Height, s.Codec)
		d.refuse("H264", 0, err.Message)
		return err
	}
	cost := videoCost(s, 0)
	if err := d.budget.tools.CanVideo(s.Codec); err != nil {
		d.refuse("H264", cost, errs.MessageOf(err))
		return err
	}
	if !d.fits(cost) {
		err := errs.Newf(errs.Unavailable, "the server is too busy to make H264 of %s now (%s); send H264, or try again later", s.Codec, d.load(cost))
		d.refuse("H264", cost, err.Message)
		return err
	}
	rung := d.rung("H264", 0)
	d.plan.Top = &rung
	d.grant("H264", cost, fmt.Sprintf("H264 is made of your %s, for players that cannot show that.", s.Codec))
	return nil
}

// audio plans what the source's audio cannot do: Opus is not for Apple's
// players, AAC not for WebRTC.
func (d *deciding) audio() {
	if d.source.Audio == nil {
		return
	}
	to, why := cmaf.AAC, "AAC is made of your Opus, for players that cannot play that."
	if d.source.Audio.Codec == cmaf.AAC {
		to, why = cmaf.Opus, "Opus is made of your AAC, for viewers by WebRTC."
	}
	switch err := d.budget.tools.CanAudio(d.source.Audio.Codec, to); {
	case err != nil:
		d.refuse(to.String(), audioCost, fmt.Sprintf("There is no %s: %s.", to, errs.MessageOf(err)))
	case !d.fits(audioCost):
		d.refuse(to.String(), audioCost, fmt.Sprintf("There is no %s: the server is busy (%s).", to, d.load(audioCost)))
	default:
		d.plan.Audio = to
		d.grant(to.String(), audioCost, why)
	}
}

// rungs plans 480p where it fits, and 360p where after it there is still room
// for the 480p and the audio of another stream.
func (d *deciding) rungs() {
	ladder := []int{480, 360}
	reserve := 0.0 // what must still fit
	for i, height := range ladder {
		name := fmt.Sprintf("%dp", height)
		cost := videoCost(d.source, height)
		switch err := d.budget.tools.CanVideo(d.source.Codec); {
		case min(d.source.Width, d.source.Height) <= height:
			d.refuse(name, cost, fmt.Sprintf("There is no %s: your picture is not larger.", name))
		case d.source.Width*d.source.Height > maxPixels:
			d.refuse(name, cost, fmt.Sprintf("There is no %s: your picture is too large to make a smaller one of; send at most 3840x2160.", name))
		case err != nil:
			d.refuse(name, cost, fmt.Sprintf("There is no %s: %s.", name, errs.MessageOf(err)))
		case !d.fits(cost+reserve) || i > 0 && d.refusedForLoad():
			d.refuse(name, cost, fmt.Sprintf("There is no %s: the server is busy (%s).", name, d.load(cost)))
		default:
			d.plan.Rungs = append(d.plan.Rungs, d.rung(name, height))
			d.grant(name, cost, fmt.Sprintf("%s is made for viewers with a slow connection.", name))
		}
		reserve = cost + audioCost
	}
}

// refusedForLoad tells whether the larger rung had no room: then the smaller one
// is not for this stream either, though it would fit.
func (d *deciding) refusedForLoad() bool {
	return len(d.plan.Rungs) == 0 && min(d.source.Width, d.source.Height) > 480
}

func (d *deciding) rung(name string, height int) Rung {
	r := Rung{Name: name, Height: height}
	r.MaxWidth, r.MaxHeight = size(d.source.Width, d.source.Height, height)
	return r
}

func (d *deciding) fits(cost float64) bool {
	return d.used()+cost <= d.budget.cores
}

// load says how busy the server is.
func (d *deciding) load(cost float64) string {
	return fmt.Sprintf("it takes %.2f cores, and %.2f of the %.2f for transcoding are taken", cost, d.used(), d.budget.cores)
}

func (d *deciding) grant(what string, cost float64, why string) {
	d.plan.Cost += cost
	d.plan.Decisions = append(d.plan.Decisions, Decision{What: what, Granted: true, Cost: cost, Why: why})
}

func (d *deciding) refuse(what string, cost float64, why string) {
	d.plan.Decisions = append(d.plan.Decisions, Decision{What: what, Cost: cost, Why: why})
}
