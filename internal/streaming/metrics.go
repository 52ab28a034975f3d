package streaming

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep"
)

// metrics are the service's figures for /metrics.
type metrics struct {
	ingest, lost, parts, segments, segmentsLost, storeErrors, sidecarsFailed prometheus.Counter
	whepBytes, whepRepeated, renderedFull, renderedDelta                     prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, s *Service) (metrics, error) {
	var all error
	register := func(c prometheus.Collector) { all = errors.Join(all, registry.Register(c)) }
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "serverlessvideo_" + name, Help: help})
		register(c)
		return c
	}
	gauge := func(name, help string, value func() float64) {
		register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "serverlessvideo_" + name, Help: help}, value))
	}
	gauge("live_streams", "Streams that are live on this node.", func() float64 { return float64(len(s.Live())) })
	gauge("live_viewers", "Viewers of the live streams of this node.", func() float64 {
		n := 0
		for _, l := range s.Live() {
			n += l.Viewers
		}
		return float64(n)
	})
	gauge("recordings_storing", "Recordings that wait for the object store though their broadcasts are over.",
		func() float64 { return float64(s.storingCount()) })
	gauge("segments_waiting", "Segments that wait for the object store.", func() float64 { return float64(s.stored.Waiting().Segments) })
	gauge("segments_waiting_bytes", "Bytes that wait for the object store in memory.", func() float64 { return float64(s.stored.Waiting().Memory) })
	gauge("segments_spilled_bytes", "Bytes that wait for the object store on disk.", func() float64 { return float64(s.stored.Waiting().Spilled) })
	register(newGauges(s))
	m := metrics{
		ingest:         counter("ingest_bytes_total", "Bytes of media that publishers sent."),
		lost:           counter("ingest_packets_lost_total", "Packets of publishers that never came or could not be used."),
		parts:          counter("parts_total", "LL-HLS parts made."),
		segments:       counter("segments_stored_total", "Segments of recordings stored."),
		segmentsLost:   counter("segments_lost_total", "Segments of recordings that the object store did not take in time."),
		whepBytes:      counter("whep_bytes_total", "Bytes of media sent to viewers over WebRTC."),
		whepRepeated:   counter("whep_packets_repeated_total", "Packets sent again to viewers over WebRTC who missed them."),
		sidecarsFailed: counter("sidecars_failed_total", "Transcoders that were given up."),
		storeErrors:    counter("segment_store_errors_total", "Failed attempts to store a segment."),
	}
	kinds := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "serverlessvideo_playlists_rendered_total",
		Help: "Live media playlists rendered, full and delta updates: each once for every state, however many players want it.",
	}, []string{"kind"})
	register(kinds)
	m.renderedFull, m.renderedDelta = kinds.WithLabelValues("full"), kinds.WithLabelValues("delta")
	return m, all
}

// rendered counts a playlist.
func (m metrics) rendered(delta bool) {
	if delta {
		m.renderedDelta.Inc()
		return
	}
	m.renderedFull.Inc()
}

// whep are those of the viewers over WebRTC.
func (m metrics) whep() whep.Metrics {
	return whep.Metrics{
		Sent:          func(bytes int) { m.whepBytes.Add(float64(bytes)) },
		Retransmitted: func(packets int) { m.whepRepeated.Add(float64(packets)) },
	}
}
