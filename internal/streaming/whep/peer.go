package whep

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// makeCertificate makes the certificate of our side of all connections.
func makeCertificate() ([]webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("a key for WebRTC: %w", err)
	}
	c, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("a certificate for WebRTC: %w", err)
	}
	return []webrtc.Certificate{*c}, nil
}

// choice is what a viewer will get.
type choice struct {
	steps  []step
	video  []codec // of the steps, each once
	audio  *codec  // nil: none
	silent string  // why there is no audio though the viewer takes some
}

// choose picks codecs for the rungs of a stream. When nothing fits, why says so.
func choose(o *offer, stream Stream) (c choice, why string) {
	var has []string
	for _, r := range stream.Rungs() {
		config := r.Video()
		if config == nil {
			continue
		}
		if name := config.Codec.String(); !slices.Contains(has, name) {
			has = append(has, name)
		}
		picked, ok := o.video.pick(config)
		if !ok {
			continue
		}
		c.steps = append(c.steps, step{rung: r, payload: picked.payload})
		if !slices.ContainsFunc(c.video, func(v codec) bool { return v.payload == picked.payload }) {
			c.video = append(c.video, picked)
		}
	}
	if len(has) == 0 {
		return c, "the stream has sent no picture yet; try again in a second"
	}
	if len(c.steps) == 0 {
		return c, fmt.Sprintf("the viewer takes %s, but the stream is %s", o.video.names(), strings.Join(has, ", "))
	}
	if o.audio != nil {
		c.audio, c.silent = chooseAudio(o.audio, stream.Audio())
	}
	return c, ""
}

func chooseAudio(s *section, config *cmaf.AudioConfig) (*codec, string) {
	switch {
	case config == nil:
		return nil, "the stream has no audio"
	case config.Codec != cmaf.Opus:
		return nil, fmt.Sprintf("the stream's audio is %v, which WebRTC does not carry: without ffmpeg on the server it is video only here", config.Codec)
	}
	opus, ok := s.opus()
	if !ok {
		return nil, "the viewer does not take Opus"
	}
	return &opus, ""
}

// parameters of a codec for the peer connection; feedback of both sides only.
func (c *codec) parameters(mime string, feedback ...string) webrtc.RTPCodecParameters {
	p := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: c.clock, Channels: c.channels, SDPFmtpLine: c.line},
		PayloadType:        webrtc.PayloadType(c.payload),
	}
	for _, f := range feedback {
		if c.has(f) {
			kind, parameter, _ := strings.Cut(f, " ")
			p.RTCPFeedback = append(p.RTCPFeedback, webrtc.RTCPFeedback{Type: kind, Parameter: parameter})
		}
	}
	return p
}

// mediaEngine knows exactly what was chosen, so that the answer says exactly that.
func (c *choice) mediaEngine(o *offer) (*webrtc.MediaEngine, []webrtc.RTPCodecParameters, []webrtc.RTPCodecParameters, error) {
	media := &webrtc.MediaEngine{}
	var err error
	var video, audio []webrtc.RTPCodecParameters
	for i := range c.video {
		v := &c.video[i]
		p := v.parameters("video/"+v.name, "nack", "nack pli", "ccm fir", "transport-cc")
		video = append(video, p)
		err = errors.Join(err, media.RegisterCodec(p, webrtc.RTPCodecTypeVideo))
		if v.rtx != 0 {
			err = errors.Join(err, media.RegisterCodec(webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: v.clock, SDPFmtpLine: fmt.Sprintf("apt=%d", v.payload)},
				PayloadType:        webrtc.PayloadType(v.rtx),
			}, webrtc.RTPCodecTypeVideo))
		}
	}
	if o.audio != nil {
		// An audio section without audio is answered too, as inactive.
		opus := c.audio
		if found, ok := o.audio.opus(); opus == nil && ok {
			opus = &found
		}
		if opus != nil {
			audio = append(audio, opus.parameters(webrtc.MimeTypeOpus))
			err = errors.Join(err, media.RegisterCodec(audio[0], webrtc.RTPCodecTypeAudio))
		}
	}
	for uri, kinds := range map[string][]webrtc.RTPCodecType{
		sdp.TransportCCURI: {webrtc.RTPCodecTypeVideo},
		sdp.SDESMidURI:     {webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio},
	} {
		for _, kind := range kinds {
			err = errors.Join(err, media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind))
		}
	}
	return media, video, audio, err
}

// connect makes the peer connection of a session, with its tracks.
func (s *Server) connect(session *session, o *offer, c choice) error {
	media, video, audio, err := c.mediaEngine(o)
	if err != nil {
		return fmt.Errorf("codecs of a viewer: %w", err)
	}
	// No interceptors: reports, retransmissions and congestion control are ours.
	session.peer, err = s.engine.Peer(media, &interceptor.Registry{}, webrtc.Configuration{Certificates: s.certificate}, func(setting *webrtc.SettingEngine) {
		quickSetup(setting)
		setting.BufferFactory = session.sender.inbox
	})
	if err != nil {
		return fmt.Errorf("a peer connection: %w", err)
	}
	sender := session.sender
	sender.video = newLocalTrack(webrtc.RTPCodecTypeVideo, video, &sender.mu)
	tracks := []*localTrack{sender.video}
	if c.audio != nil {
		sender.audio = newLocalTrack(webrtc.RTPCodecTypeAudio, audio, &sender.mu)
		tracks = append(tracks, sender.audio)
	}
	for _, t := range tracks {
		_, err := session.peer.AddTransceiverFromTrack(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return errors.Join(fmt.Errorf("a track for a viewer: %w", err), session.peer.Close())
		}
	}
	return nil
}

// quickSetup makes us the server of the DTLS handshake: then we choose how
// packets are encrypted, which is by AES-GCM when the viewer knows it. The
// cookie against forged addresses (RFC 6347, 4.2.1) would be one more round
// trip; ICE has checked the address already.
func quickSetup(setting *webrtc.SettingEngine) {
	_ = setting.SetAnsweringDTLSRole(webrtc.DTLSRoleServer) // fails for roles that are none only
	setting.SetDTLSInsecureSkipHelloVerify(true)
}
