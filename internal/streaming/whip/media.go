package whip

import (
	"bytes"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// begun waits until the broadcast takes media; false if it never will.
func (s *session) begun() bool {
	select {
	case <-s.ready:
		return true
	case <-s.closed:
		return false
	}
}

// readVideo turns the packets of the video track into access units.
func (s *session) readVideo(track *webrtc.TrackRemote) {
	if !s.begun() {
		return
	}
	v := videoReader{to: s.broadcast}
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return // the connection is closed
		}
		now := time.Now()
		s.broadcast.Received(len(packet.Payload), now)
		ready, lost := v.order.push(packet, now)
		if lost > 0 {
			v.missing(lost, now)
		}
		for _, a := range ready {
			v.packet(a, now)
		}
	}
}

// videoReader puts access units together.
type videoReader struct {
	to      Broadcast
	order   reorder
	units   depacketizer
	began   time.Time // arrival of the unfinished access unit's first packet
	current uint32    // its timestamp
	fresh   bool      // no packet of it yet
	started bool
	config  *cmaf.VideoConfig // of the last key frame
}

// parameters returns what decodes the key frame just collected: the last one's
// configuration if its parameter sets are the same, nil if they cannot be used.
func (v *videoReader) parameters() *cmaf.VideoConfig {
	if v.config == nil || !bytes.Equal(v.config.SPS, v.units.sps) || !bytes.Equal(v.config.PPS, v.units.pps) {
		config, err := cmaf.ParseAVC(v.units.sps, v.units.pps)
		if err != nil {
			return nil
		}
		v.config = &config
	}
	return v.config
}

func (v *videoReader) missing(packets int, now time.Time) {
	v.units.lost()
	v.to.Dropped(packets)
	v.to.Lost(now)
}

func (v *videoReader) packet(a arrived, now time.Time) {
	before := v.began
	if !v.started || v.fresh || a.packet.Timestamp != v.current {
		v.started, v.fresh = true, false
		v.current, v.began = a.packet.Timestamp, a.at
	}
	units, err := v.units.push(a.packet.Payload, a.packet.Timestamp, a.packet.Marker)
	for _, u := range units {
		arrival := v.began
		if u.timestamp != a.packet.Timestamp {
			arrival = before // a marker was missing: this is the unit before
		}
		f := frame.Video{Data: u.data, Key: u.key, Timestamp: u.timestamp, Arrival: arrival}
		if u.key {
			f.Config = v.parameters()
		}
		v.to.Video(f)
	}
	v.fresh = a.packet.Marker
	if err != nil {
		v.missing(1, now)
	}
}

// readAudio hands on the packets of the audio track.
func (s *session) readAudio(track *webrtc.TrackRemote) {
	if !s.begun() {
		return
	}
	var order reorder
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return // the connection is closed
		}
		now := time.Now()
		s.broadcast.Received(len(packet.Payload), now)
		ready, lost := order.push(packet, now)
		if lost > 0 {
			s.broadcast.Dropped(lost)
		}
		for _, a := range ready {
			if len(a.packet.Payload) > 0 {
				s.broadcast.Audio(frame.Audio{Data: a.packet.Payload, Timestamp: a.packet.Timestamp, Arrival: a.at})
			}
		}
	}
}

// readReports hands on the sender reports of a track. Reading also feeds the
// interceptors.
func (s *session) readReports(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	if !s.begun() {
		return
	}
	report := s.broadcast.AudioReport
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		report = s.broadcast.VideoReport
	}
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return // the connection is closed
		}
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok && sr.SSRC == uint32(track.SSRC()) {
				report(frame.Report{NTP: sr.NTPTime, Timestamp: sr.RTPTime})
			}
		}
	}
}
