package simulator

import (
	"math"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator/sqlc"
)

// SimulationCounts are a run's videos by where they stand.
type SimulationCounts struct {
	Waiting int `json:"waiting" doc:"not replayed yet"`
	Working int `json:"working" doc:"in post-processing or with plugins"`
	Valid   int `json:"valid"`
	Invalid int `json:"invalid" doc:"a validator said no"`
	Failed  int `json:"failed"`
	Dropped int `json:"dropped" doc:"did not come to an end in the run"`
}

// SimulationSpread is how long something took.
type SimulationSpread struct {
	Count int   `json:"count" doc:"how many were measured"`
	P50   int64 `json:"p50" doc:"milliseconds; half took at most so long"`
	P95   int64 `json:"p95" doc:"milliseconds; 95 % took at most so long"`
	Max   int64 `json:"max" doc:"milliseconds"`
}

// SimulationMeasures are what a run measured of the videos that came to an end.
type SimulationMeasures struct {
	Processing SimulationSpread `json:"processing" doc:"from the recording's end to its MP4 and pictures, waiting included"`
	Lifecycle  SimulationSpread `json:"lifecycle" doc:"from the first hook to the last plugin's answer"`
	Whole      SimulationSpread `json:"whole" doc:"from the recording's end to the video's status"`
	PerMinute  float64          `json:"perMinute" doc:"videos that came to an end in a minute"`
	Speed      float64          `json:"speed" doc:"seconds of video that came to an end in a second"`
}

// stateOf says where a video stands.
func stateOf(r sqlc.Simulation, v sqlc.SimulationVideo) string {
	switch {
	case v.EndedAt > 0:
		return v.Status
	case r.State != running:
		return dropped
	case v.SentAt == 0:
		return "waiting"
	case v.ProcessedAt > 0:
		return "plugins"
	}
	return "processing"
}

func count(r sqlc.Simulation, videos []sqlc.SimulationVideo) SimulationCounts {
	var c SimulationCounts
	for _, v := range videos {
		switch stateOf(r, v) {
		case "waiting":
			c.Waiting++
		case event.StatusValid:
			c.Valid++
		case event.StatusInvalid:
			c.Invalid++
		case event.StatusFailed:
			c.Failed++
		case dropped:
			c.Dropped++
		default:
			c.Working++
		}
	}
	return c
}

func measure(videos []sqlc.SimulationVideo) SimulationMeasures {
	var processing, lifecycle, whole []int64
	var begun, over, media int64
	for _, v := range videos {
		processing = took(processing, v.SentAt, v.ProcessedAt)
		lifecycle = took(lifecycle, v.LifecycleAt, v.JudgedAt)
		if v.SentAt > 0 && (begun == 0 || v.SentAt < begun) {
			begun = v.SentAt
		}
		if v.Status == dropped || v.EndedAt == 0 {
			continue
		}
		whole = took(whole, v.SentAt, v.EndedAt)
		over = max(over, v.EndedAt)
		media += v.DurationMs
	}
	m := SimulationMeasures{Processing: spread(processing), Lifecycle: spread(lifecycle), Whole: spread(whole)}
	if elapsed := float64(over - begun); over > begun {
		m.PerMinute = rounded(float64(len(whole)) * 60_000 / elapsed)
		m.Speed = rounded(float64(media) / elapsed)
	}
	return m
}

// took adds the time between two moments, if both have been.
func took(to []int64, from, until int64) []int64 {
	if from == 0 || until == 0 {
		return to
	}
	return append(to, max(0, until-from)) // clocks of several nodes
}

func spread(times []int64) SimulationSpread {
	if len(times) == 0 {
		return SimulationSpread{}
	}
	slices.Sort(times)
	return SimulationSpread{Count: len(times), P50: percentile(times, 50), P95: percentile(times, 95), Max: times[len(times)-1]}
}

// percentile is the smallest of the sorted values that p percent are not above.
func percentile(sorted []int64, p int) int64 {
	return sorted[(len(sorted)*p+99)/100-1]
}

// rounded keeps two decimals.
func rounded(f float64) float64 { return math.Round(f*100) / 100 }
