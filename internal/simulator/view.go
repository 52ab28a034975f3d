package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// SimulationView is a run as admins see it.
type SimulationView struct {
	ID        string             `json:"id"`
	State     string             `json:"state" enum:"running,kept,removing,removed" doc:"kept: over, its videos stay; removed: its results alone are left"`
	Ending    string             `json:"ending,omitempty" enum:"finished,stopped,abandoned,overdue" doc:"absent while it runs; abandoned: the command that followed it went away"`
	StartedBy string             `json:"startedBy,omitempty" doc:"a user's name; absent when a command did"`
	CreatedAt string             `json:"createdAt" format:"date-time"`
	EndedAt   string             `json:"endedAt,omitempty" format:"date-time"`
	Asked     int                `json:"asked" doc:"how many recordings were to be replayed; there may have been fewer"`
	AtOnce    int                `json:"atOnce" doc:"how many at a time"`
	Keep      bool               `json:"keep" doc:"whether its videos stay when it has finished"`
	Total     int                `json:"total" doc:"how many recordings it replays"`
	Percent   int                `json:"percent" minimum:"0" maximum:"100" doc:"how far it is"`
	Counts    SimulationCounts   `json:"counts"`
	Measures  SimulationMeasures `json:"measures"`
	Skipped   []string           `json:"skipped" nullable:"false" doc:"plugins that were not asked: they do not say that they have no effects"`

	created int64
}

// SimulatedVideo is a simulated video as admins see it.
type SimulatedVideo struct {
	ID         string `json:"id"`
	Number     int    `json:"number" doc:"1 replays the newest recording"`
	Original   string `json:"original" doc:"id of the video whose recording is replayed"`
	Channel    string `json:"channel"`
	Title      string `json:"title,omitempty" doc:"the original's"`
	Duration   int64  `json:"duration" doc:"milliseconds"`
	State      string `json:"state" enum:"waiting,processing,plugins,valid,invalid,failed,dropped" doc:"dropped: did not come to an end in the run"`
	Step       string `json:"step,omitempty" enum:"mp4,encode,storyboard,thumbnail" doc:"what is being made"`
	Percent    int    `json:"percent" minimum:"0" maximum:"100"`
	Reason     string `json:"reason,omitempty" doc:"why it is not valid"`
	Compute    string `json:"compute,omitempty" enum:"local,worker" doc:"where it was made, once it is"`
	Processing int64  `json:"processing" doc:"milliseconds until MP4 and pictures were there; 0 while they are not"`
	Lifecycle  int64  `json:"lifecycle" doc:"milliseconds of the plugin lifecycle; 0 while it goes on"`
	Whole      int64  `json:"whole" doc:"milliseconds until its status; 0 while it has none"`
}

// pluginsBegin is the share of the work, in percent, that is done when the
// plugins begin.
const pluginsBegin = 90

// Get returns a run. Errors: errs.NotFound.
func (s *Service) Get(ctx context.Context, runID string) (SimulationView, error) {
	r, err := s.run(ctx, runID)
	if err != nil {
		return SimulationView{}, err
	}
	return s.view(ctx, r)
}

func (s *Service) view(ctx context.Context, r sqlc.Simulation) (SimulationView, error) {
	videos, err := s.q().Videos(ctx, r.ID)
	if err != nil {
		return SimulationView{}, fmt.Errorf("reading the videos of %s: %w", r.ID, err)
	}
	v := SimulationView{
		ID: r.ID, State: r.State, Ending: r.Ending, StartedBy: r.StartedBy, CreatedAt: store.Timestamp(r.CreatedAt),
		Asked: int(r.Asked), AtOnce: int(r.AtOnce), Keep: r.Keep, Total: len(videos),
		Counts: count(r, videos), Measures: measure(videos), Skipped: []string{}, created: r.CreatedAt,
	}
	if r.EndedAt > 0 {
		v.EndedAt = store.Timestamp(r.EndedAt)
	}
	done := 0
	for _, one := range videos {
		done += s.show(r, one).Percent
		var skipped []string
		if err := json.Unmarshal([]byte(one.Skipped), &skipped); err != nil {
			return v, fmt.Errorf("reading the plugins skipped for %s: %w", one.ID, err)
		}
		v.Skipped = append(v.Skipped, skipped...)
	}
	v.Percent = done / max(1, len(videos))
	slices.Sort(v.Skipped)
	v.Skipped = slices.Compact(v.Skipped)
	return v, nil
}

// Videos returns up to limit of a run's videos, from after a number on. Errors:
// errs.NotFound.
func (s *Service) Videos(ctx context.Context, runID string, after int64, limit int) ([]SimulatedVideo, error) {
	r, err := s.run(ctx, runID)
	if err != nil {
		return nil, err
	}
	rows, err := s.q().VideosAfter(ctx, sqlc.VideosAfterParams{Run: runID, Number: after, Limit: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading the videos of %s: %w", runID, err)
	}
	out := make([]SimulatedVideo, len(rows))
	for i, row := range rows {
		out[i] = s.show(r, row)
	}
	return out, nil
}

func (s *Service) show(r sqlc.Simulation, v sqlc.SimulationVideo) SimulatedVideo {
	out := SimulatedVideo{
		ID: v.ID, Number: int(v.Number), Original: v.Original, Channel: v.Channel, Title: v.Title, Duration: v.DurationMs,
		State: stateOf(r, v), Reason: v.Reason, Compute: v.Compute,
		Processing: between(v.SentAt, v.ProcessedAt), Lifecycle: between(v.LifecycleAt, v.JudgedAt),
	}
	switch out.State {
	case event.StatusValid, event.StatusInvalid, event.StatusFailed:
		out.Percent, out.Whole = 100, between(v.SentAt, v.EndedAt)
	case "plugins":
		out.Percent = pluginsBegin
	case "processing":
		if step, percent, ok := s.Work.Progress(v.ID); ok {
			out.Step, out.Percent = step, percent*pluginsBegin/100
		}
	}
	return out
}

// between is the time between two moments in ms, at least 1; 0 if one has not been.
func between(from, until int64) int64 {
	if from == 0 || until == 0 {
		return 0
	}
	return max(1, until-from)
}
