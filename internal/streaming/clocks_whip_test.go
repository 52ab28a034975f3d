package streaming

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whip"
)

const (
	opusPacket   = 0.02 // seconds
	beepPackets  = 12   // of the clip, from the beginning of the tone to well after it
	quietPacket  = 100  // one of the clip that is silence
	videoEncodes = 0.035
	audioEncodes = 0.005
	// Sender reports come from the network as the packets do, but not when they do.
	videoReports, audioReports = 1.1, 4.7
)

// phone publishes over WebRTC. Its clocks are what the test is about.
type phone struct {
	clip    *streamtest.Clip
	clocks  clocks
	reports bool // it sends sender reports
	random  *rand.Rand
	scene   *scene
	video   *whip.Receiver
	audio   *whip.Receiver
	asked   atomic.Bool // for a key frame
}

// keyFrames is a publisher that can be asked for them.
type keyFrames struct {
	source
	ask func()
}

func (k *keyFrames) RequestKeyFrame() { k.ask() }

// publish sends for a length of its own time.
func (p *phone) publish(t *testing.T, s *studio, length time.Duration) {
	t.Helper()
	s.action()
	session, err := s.Begin(context.Background(), ingest.Offer{
		Channel: "c", Protocol: "WHIP", Video: []cmaf.VideoCodec{cmaf.H264},
		Audio: &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: cmaf.OpusTimescale, Channels: 2},
	}, &keyFrames{ask: func() { p.asked.Store(true) }})
	if err != nil {
		t.Fatal(err)
	}
	if p.video, err = whip.NewVideoReceiver(session.Codec(), session); err != nil {
		t.Fatal(err)
	}
	p.audio = whip.NewAudioReceiver(session)
	deliver(p.clocks, length, p.videoFlow(), p.audioFlow())
	session.Leave(false, "gone")
}

// rtpFlow is the packets of a track on their way.
type rtpFlow struct {
	route
	to       *whip.Receiver
	ssrc     uint32
	rate     float64 // of the track's clock by the phone's
	base     uint32  // the first timestamp
	sequence uint16
	reported float64
	every    float64 // seconds from report to report, 0 for none
	clock    uint64  // NTP time of the phone's 0
}

// stamp is the timestamp of a moment.
func (f *rtpFlow) stamp(at float64) uint32 { return f.base + uint32(uint64(math.Round(at*f.rate))) }

// packet sends a packet with what was captured then.
func (f *rtpFlow) packet(captured, sent float64, payload []byte, marker bool) {
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: f.sequence, Timestamp: f.stamp(captured), Marker: marker, SSRC: f.ssrc},
		Payload: payload,
	}
	f.sequence++
	b, err := p.Marshal()
	if err != nil {
		panic(err) // of this test's own making
	}
	f.send(sent, true, func() {
		if _, err := f.to.Packet(b, time.Now()); err != nil {
			panic(err)
		}
	})
	if f.every > 0 && sent-f.reported >= f.every {
		f.reported = sent
		f.report(sent)
	}
}

// report says what the track's clock shows now (RFC 3550, 6.4.1).
func (f *rtpFlow) report(now float64) {
	whole, part := math.Modf(now)
	sr := rtcp.SenderReport{
		SSRC: f.ssrc, NTPTime: f.clock + uint64(whole)<<32 + uint64(part*(1<<32)), RTPTime: f.stamp(now),
	}
	b, err := rtcp.Marshal([]rtcp.Packet{&sr, &rtcp.SourceDescription{}})
	if err != nil {
		panic(err)
	}
	f.send(now, false, func() { f.to.Reports(b, f.ssrc) })
}

func (p *phone) flow(to *whip.Receiver, rate, drift, every float64) *rtpFlow {
	f := &rtpFlow{
		route: newRoute(p.random), to: to, ssrc: p.random.Uint32(), rate: rate * (1 + drift/1e6), every: every,
		base: math.MaxUint32 - uint32(rate)*uint32(60+83*p.clocks.seed), sequence: math.MaxUint16 - 100, // both will wrap
		clock: (3_900_000_000+p.clocks.seed)<<32 + p.clocks.seed<<29,
	}
	if !p.reports {
		f.every = 0
	}
	return f
}

// videoFlow films: a frame of the clip every 1/30 s by the phone's wall clock.
// When it is asked for a key frame it goes to the clip's second one, which is
// black as all that follow.
func (p *phone) videoFlow() *flow {
	f := p.flow(p.video, cmaf.VideoTimescale, p.clocks.video, videoReports)
	payloader := &codecs.H264Payloader{}
	place := 0
	return &flow{route: &f.route, next: func(n int) {
		at := float64(n) / streamtest.FrameRate
		switch {
		case n%len(p.clip.Frames) == 0:
			p.scene.flash(at)
			place = 0
		case p.asked.Swap(false) || place == len(p.clip.Frames):
			place = streamtest.FrameRate
		}
		frame := p.clip.Frames[place]
		place++
		payloads := payloader.Payload(1200, frame)
		for i, payload := range payloads {
			f.packet(at, at+videoEncodes+float64(i)*0.0003, payload, i == len(payloads)-1)
		}
	}}
}

// audioFlow listens: a packet is 20 ms by the clock of the sound card. The tone
// begins with the first packet after the flash.
func (p *phone) audioFlow() *flow {
	f := p.flow(p.audio, cmaf.OpusTimescale, p.clocks.audio, audioReports)
	length := opusPacket / (1 + p.clocks.audio/1e6) // in seconds of the wall clock
	beep := 0
	next := 0.0
	return &flow{route: &f.route, next: func(n int) {
		at := float64(n) * length
		if at >= next {
			p.scene.beep(at)
			next += p.clip.Length().Seconds()
			beep = beepPackets
		}
		payload := p.clip.Packets[quietPacket]
		if beep > 0 {
			payload = p.clip.Packets[beepPackets-beep]
			beep--
		}
		f.packet(at, at+length+audioEncodes, payload, n == 0)
	}}
}

// isFlash and isBeep know the first picture of the flash and the first packet of
// the tone in what comes out.
func (p *phone) isFlash(sample []byte) bool {
	for _, nal := range cmaf.SplitAnnexB(p.clip.Frames[0]) {
		if cmaf.NALType(nal) == cmaf.NALIDR {
			return bytes.Contains(sample, nal)
		}
	}
	return false
}

func (p *phone) isBeep(sample []byte) bool { return bytes.Equal(sample, p.clip.Packets[0]) }
