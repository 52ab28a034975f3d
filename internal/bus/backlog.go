package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Backlog returns by consumer how many events it has not finished: those that
// wait for it, and those it works on or will try again.
func (b *Bus) Backlog(ctx context.Context) (map[string]int64, error) {
	backlog := map[string]int64{}
	consumers := b.events.ListConsumers(ctx)
	for info := range consumers.Info() {
		backlog[info.Name] = int64(info.NumPending) + int64(info.NumAckPending)
	}
	if err := consumers.Err(); err != nil {
		return nil, fmt.Errorf("asking the bus for its consumers: %w", err)
	}
	return backlog, nil
}

// backlogTime is how long /metrics waits for the bus.
const backlogTime = 2 * time.Second

// Metrics are for /metrics: the backlog and the dead letters of each consumer.
func (b *Bus) Metrics() prometheus.Collector {
	return &backlogMetrics{b,
		prometheus.NewDesc("serverlessvideo_bus_backlog_events", "Events that a consumer has not finished.", []string{"consumer"}, nil),
		prometheus.NewDesc("serverlessvideo_bus_dead_letters", "Events that a consumer could not handle and that were put away.", []string{"consumer"}, nil),
	}
}

type backlogMetrics struct {
	bus           *Bus
	backlog, dead *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (m *backlogMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.backlog
	to <- m.dead
}

// Collect implements prometheus.Collector. A bus that does not answer has no
// backlog that could be told.
func (m *backlogMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTime)
	defer cancel()
	backlog, err := m.bus.Backlog(ctx)
	if err != nil {
		m.bus.log.Warn("bus: its backlog cannot be told", "err", err)
		return
	}
	dead, err := m.bus.CountDead(ctx)
	if err != nil {
		m.bus.log.Warn("bus: its dead letters cannot be counted", "err", err)
		return
	}
	for consumer, n := range backlog {
		to <- prometheus.MustNewConstMetric(m.backlog, prometheus.GaugeValue, float64(n), consumer)
		to <- prometheus.MustNewConstMetric(m.dead, prometheus.GaugeValue, float64(dead[consumer]), consumer) // 0 too: alerts need it
		delete(dead, consumer)
	}
	for consumer, n := range dead { // of consumers of an earlier version
		to <- prometheus.MustNewConstMetric(m.dead, prometheus.GaugeValue, float64(n), consumer)
	}
}
