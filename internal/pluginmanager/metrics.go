package pluginmanager

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// What became of a plugin's run, as metrics say it.
const (
	outcomeSuccess = "success"
	outcomeInvalid = "invalid"
	outcomeFailed  = "failed"
)

type metrics struct {
	runs    *prometheus.CounterVec
	refused *prometheus.CounterVec
	plugins *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "serverlessvideo_plugin_runs_total",
			Help: "Plugin runs that ended, by hook and outcome: success, invalid, failed.",
		}, []string{"hook", "outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "serverlessvideo_plugin_answers_refused_total",
			Help: "Answers of plugins that did not count, by reason: malformed, unknown, foreign, used, closed, late.",
		}, []string{"reason"}),
		plugins: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "serverlessvideo_plugins",
			Help: "Registered plugins, by hook.",
		}, []string{"hook"}),
	}
	for _, c := range []prometheus.Collector{m.runs, m.refused, m.plugins} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("the plugin manager's metrics: %w", err)
		}
	}
	for _, hook := range allHooks() {
		for _, outcome := range []string{outcomeSuccess, outcomeInvalid, outcomeFailed} {
			m.runs.WithLabelValues(hook, outcome)
		}
	}
	return m, nil
}

func (m *metrics) registered(all []registration) {
	counts := map[string]int{}
	for _, r := range all {
		counts[r.EventHook]++
	}
	for _, hook := range allHooks() {
		m.plugins.WithLabelValues(hook).Set(float64(counts[hook]))
	}
}

// ended counts a run by the state that its task came to. Simulated videos' do
// not count.
func (m *metrics) ended(video, hook, state string) {
	if event.Simulated(video) {
		return
	}
	switch state {
	case statePassed:
		m.runs.WithLabelValues(hook, outcomeSuccess).Inc()
	case stateRefused:
		m.runs.WithLabelValues(hook, outcomeInvalid).Inc()
	case stateFailed, stateTimedOut:
		m.runs.WithLabelValues(hook, outcomeFailed).Inc()
	}
}
