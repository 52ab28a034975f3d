package wheptest

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// track reads a track.
func (v *Viewer) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	video := track.Kind() == webrtc.RTPCodecTypeVideo
	v.readers.Go(func() { v.readReports(receiver, video) })
	if !video {
		v.readers.Go(func() { v.readAudio(track) })
		return
	}
	v.mu.Lock()
	v.ssrc = uint32(track.SSRC())
	v.mu.Unlock()
	v.update(func(s *Stats) { s.Encoding = track.Codec().MimeType })
	v.readers.Go(func() { v.readVideo(track) })
}

func (v *Viewer) readReports(receiver *webrtc.RTPReceiver, video bool) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok {
				v.report(sr, video)
			}
		}
	}
}

// report keeps a report of the track's: compound packets come to both tracks.
func (v *Viewer) report(sr *rtcp.SenderReport, video bool) {
	v.update(func(s *Stats) {
		switch {
		case sr.SSRC == v.ssrc:
			s.VideoReport = sr
		case !video:
			s.AudioReport = sr
		}
	})
}

func (v *Viewer) readAudio(track *webrtc.TrackRemote) {
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		now := time.Now()
		v.update(func(s *Stats) {
			s.AudioPackets++
			if s.FirstAudio.IsZero() {
				s.FirstAudio = now
			}
		})
		if v.options.Unit != nil {
			v.options.Unit(Unit{Data: p.Payload, Timestamp: p.Timestamp, Complete: now})
		}
	}
}

func (v *Viewer) readVideo(track *webrtc.TrackRemote) {
	mime := track.Codec().MimeType
	a := assembler{viewer: v, waiting: map[uint16]*rtp.Packet{}, mime: mime, unpack: newUnpacker(mime)}
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		a.push(p, time.Now())
	}
}

const (
	patience   = 800 * time.Millisecond // with a missing packet
	maxWaiting = 4096
)

// assembler puts packets in order and access units together.
type assembler struct {
	viewer  *Viewer
	mime    string
	waiting map[uint16]*rtp.Packet
	next    uint16
	began   bool
	stuck   time.Time // since when next is missing
	unpack  unpacker
	unit    []byte
	broken  bool // until the next key frame
}

func (a *assembler) push(p *rtp.Packet, now time.Time) {
	if !a.began {
		a.began, a.next = true, p.SequenceNumber
	}
	if int16(p.SequenceNumber-a.next) < 0 || len(p.Payload) == 0 {
		return // it came again
	}
	a.waiting[p.SequenceNumber] = p
	lost := 0
	for {
		if p := a.waiting[a.next]; p != nil {
			delete(a.waiting, a.next)
			a.next++
			a.stuck = time.Time{}
			a.packet(p, now)
			continue
		}
		if len(a.waiting) == 0 {
			break
		}
		if a.stuck.IsZero() {
			a.stuck = now
		}
		if now.Sub(a.stuck) < patience && len(a.waiting) < maxWaiting {
			break
		}
		lost++
		a.next++
		a.unit, a.broken = nil, true
		a.unpack = newUnpacker(a.mime)
	}
	a.viewer.count(lost)
}

// count counts a packet. It wakes nobody: packets come often.
func (v *Viewer) count(lost int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stats.Packets++
	v.stats.Lost += lost
}

// packet takes the next packet in order.
func (a *assembler) packet(p *rtp.Packet, now time.Time) {
	data, err := a.unpack.Unmarshal(p.Payload)
	if err != nil {
		a.broken = true
		return
	}
	a.unit = append(a.unit, data...)
	if !p.Marker {
		return
	}
	u := Unit{Video: true, Data: a.unit, Timestamp: p.Timestamp, Complete: now, Key: isKey(a.mime, a.unit)}
	a.unit = nil
	if a.broken && !u.Key {
		return
	}
	a.broken = false
	if a.viewer.options.Unit != nil {
		a.viewer.options.Unit(u)
	}
	a.viewer.update(func(s *Stats) {
		s.Frames++
		s.LastTimestamp = u.Timestamp
		if u.Key {
			s.KeyFrames++
			if s.FirstKey.IsZero() {
				s.FirstKey = now
			}
		}
	})
}
