package streaming

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are figures that are read when somebody asks for them: how each live
// stream comes in, by its channel, and what transcoding takes of the machine.
type gauges struct {
	service                       *Service
	ingest                        []ingestGauge
	cores, used, granted, refused *prometheus.Desc
}

// ingestGauge is a figure of the publisher of a stream.
type ingestGauge struct {
	desc  *prometheus.Desc
	value func(Health) float64
}

func newGauges(s *Service) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("serverlessvideo_"+name, help, labels, nil)
	}
	ingest := func(name, help string, value func(Health) float64) ingestGauge {
		return ingestGauge{desc("ingest_"+name, help, "channel", "protocol"), value}
	}
	return &gauges{
		service: s,
		ingest: []ingestGauge{
			ingest("bitrate_bits", "Bits per second that a publisher sends.", func(h Health) float64 { return float64(h.Bitrate) }),
			ingest("frame_rate", "Frames per second that a publisher sends.", func(h Health) float64 { return h.FrameRate }),
			ingest("key_frame_interval_seconds", "Time between a publisher's key frames.", func(h Health) float64 { return h.KeyFrameInterval }),
			ingest("loss_ratio", "Share of a publisher's packets that never came.", func(h Health) float64 { return h.LossPercent / 100 }),
			ingest("jitter_seconds", "Jitter of a publisher's media (RFC 3550, 6.4.1).", func(h Health) float64 { return h.JitterMillis / 1000 }),
			ingest("round_trip_seconds", "Round trip to a publisher; 0 when it is not known.", func(h Health) float64 { return h.RoundTripMillis / 1000 }),
		},
		cores:   desc("transcode_cores", "Cores that sidecars may take."),
		used:    desc("transcode_cores_used", "Cores that the running streams' sidecars are expected to take."),
		granted: desc("transcode_granted_total", "Renditions that streams were given.", "rendition"),
		refused: desc("transcode_refused_total", "Renditions that streams were refused.", "rendition"),
	}
}

// Describe lists the figures.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, i := range g.ingest {
		to <- i.desc
	}
	for _, d := range []*prometheus.Desc{g.cores, g.used, g.granted, g.refused} {
		to <- d
	}
}

// Collect reads them. Of a stream whose publisher is away there is none.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	for _, b := range g.service.broadcasts() {
		h := g.service.health(b, time.Now())
		if h.Protocol == "" {
			continue
		}
		for _, i := range g.ingest {
			to <- prometheus.MustNewConstMetric(i.desc, prometheus.GaugeValue, i.value(h), b.channel, h.Protocol)
		}
	}
	u := g.service.budget.Usage()
	to <- prometheus.MustNewConstMetric(g.cores, prometheus.GaugeValue, u.Cores)
	to <- prometheus.MustNewConstMetric(g.used, prometheus.GaugeValue, u.Used)
	for what, n := range u.Granted {
		to <- prometheus.MustNewConstMetric(g.granted, prometheus.CounterValue, float64(n), what)
	}
	for what, n := range u.Refused {
		to <- prometheus.MustNewConstMetric(g.refused, prometheus.CounterValue, float64(n), what)
	}
}
