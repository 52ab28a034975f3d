package whip

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

// videoReader puts access units together and hands them on.
type videoReader struct {
	to    ingest.Session
	units depacketizer

	began   time.Time // arrival of the unfinished access unit's first packet
	current uint32    // its timestamp
	fresh   bool      // no packet of it yet
	before  time.Time // began, of the access unit before
	before2 uint32

	usable int                // access units that came out so far
	ended  bool               // one has ended, perhaps one that began before the first packet
	config *cmaf.VideoConfig  // of the last key frame
	done   func(u accessUnit) // v.unit, made once
}

func newVideoReader(codec cmaf.VideoCodec, to ingest.Session) (*videoReader, error) {
	format, err := payloadsOf(codec)
	if err != nil {
		return nil, err
	}
	v := &videoReader{to: to, units: depacketizer{format: format}, fresh: true}
	v.done = v.unit
	return v, nil
}

// packet takes the next packet in order.
func (v *videoReader) packet(p packet) {
	if v.fresh || p.timestamp != v.current {
		v.before, v.before2 = v.began, v.current
		v.fresh, v.current, v.began = false, p.timestamp, p.at
	}
	err := v.units.push(p.payload, p.timestamp, p.marker, v.done)
	v.fresh = p.marker
	switch {
	case err != nil:
		v.to.Dropped(1)
		v.to.Lost(p.at)
	case p.marker && !v.ended && v.usable == 0:
		v.to.Lost(p.at) // its beginning was sent before we could hear it
	}
	v.ended = v.ended || p.marker
}

// missing says that packets never came.
func (v *videoReader) missing(packets int, now time.Time) {
	v.units.lost()
	v.to.Dropped(packets)
	v.to.Lost(now)
}

// unit hands on an access unit. A key frame that cannot be decoded is missing.
func (v *videoReader) unit(u accessUnit) {
	arrival := v.began
	if u.timestamp != v.current && u.timestamp == v.before2 {
		arrival = v.before // a marker was missing: this is the unit before
	}
	f := frame.Video{
		Data: append([]byte(nil), u.data...), Key: u.key, Timestamp: u.timestamp, Arrival: arrival,
	}
	if u.key {
		config, err := v.units.format.config()
		if err != nil {
			v.to.Dropped(1)
			v.to.Lost(arrival)
			return
		}
		if v.config == nil || !v.config.Equal(config) {
			v.config = &config
		}
		f.Config = v.config
	}
	v.usable++
	v.to.Video(f)
}

// audioReader hands on the packets of the audio track.
type audioReader struct{ to ingest.Session }

func (a audioReader) packet(p packet) {
	if len(p.payload) == 0 {
		return
	}
	data := append([]byte(nil), p.payload...)
	a.to.Audio(frame.Audio{Data: data, Timestamp: p.timestamp, Arrival: p.at})
}

func (a audioReader) missing(packets int, _ time.Time) { a.to.Dropped(packets) }
