package rules

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
)

const (
	mostGauged = 100_000         // how far the waiting and the dead are counted
	gaugeTime  = 2 * time.Second // for counting them
)

// metrics are the service's figures for /metrics. Rules are not told apart:
// there may be a thousand, under names that people make up.
type metrics struct {
	ended   *prometheus.CounterVec
	retries *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer, s *Service) (*metrics, error) {
	m := &metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "serverlessvideo_rule_deliveries_total",
			Help: "Deliveries of rules that ended on this node, by target and outcome: delivered, dead.",
		}, []string{"target", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "serverlessvideo_rule_retries_total",
			Help: "Tries of rules' deliveries that failed and are made again, by target.",
		}, []string{"target"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "serverlessvideo_rule_try_seconds",
			Help:    "How long tries of rules' deliveries took, by target and outcome: ok, failed.",
			Buckets: []float64{.005, .025, .1, .25, 1, 2.5, 5, 15, 30, 60},
		}, []string{"target", "outcome"}),
	}
	all := errors.Join(registry.Register(m.ended), registry.Register(m.retries), registry.Register(m.seconds))
	for _, target := range targets() {
		m.retries.WithLabelValues(target)
		for _, state := range []string{delivered, dead} {
			m.ended.WithLabelValues(target, state)
		}
	}
	gauge := func(name, help, state string) {
		all = errors.Join(all, registry.Register(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "serverlessvideo_rule_deliveries_" + name, Help: help + ", counted up to 100,000."},
			func() float64 { return s.gauge(state) })))
	}
	gauge("waiting", "Deliveries of all rules that wait for a try", pending)
	gauge("dead", "Dead letters of all rules", dead)
	return m, all
}

// gauge counts the deliveries in a state, of all nodes.
func (s *Service) gauge(state string) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTime)
	defer cancel()
	n, err := sqlc.New(s.db.Read()).CountAllDeliveries(ctx, sqlc.CountAllDeliveriesParams{State: state, Most: mostGauged})
	if err != nil {
		s.log.Warn("rules: the deliveries cannot be counted for the metrics", "state", state, "err", err)
	}
	return float64(n)
}

func (m *metrics) tried(target string, o outcome, took time.Duration) {
	outcome := "ok"
	if o.err != "" {
		outcome = "failed"
	}
	m.seconds.WithLabelValues(target, outcome).Observe(took.Seconds())
}

// settled counts what a try made of its delivery.
func (m *metrics) settled(target, state string) {
	if state == pending {
		m.retries.WithLabelValues(target).Inc()
		return
	}
	m.ended.WithLabelValues(target, state).Inc()
}
