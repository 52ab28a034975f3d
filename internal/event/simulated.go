package event

import "strings"

// SourceSimulator says the Recording End of a simulation.
const SourceSimulator = "simulator"

// SimulatedPrefix begins the id of every simulated video, and of nothing else.
const SimulatedPrefix = "sim-"

// Simulated says whether an id is a simulated video's: one that replays the
// recording of another and is removed afterwards. Admins alone may know of it,
// and nothing outside this server may come of it.
func Simulated(id string) bool { return strings.HasPrefix(id, SimulatedPrefix) }

// Simulated says whether the event is about a simulated video.
func (e Envelope) Simulated() bool { return e.Source == SourceSimulator || Simulated(e.About()) }

// SimulatedRecording is a recording's end that is said again: its stream_id is
// the simulated video's, its recording_s3_key_prefix the past recording's, which
// is only read.
type SimulatedRecording struct{ RecordingStateChange }

// EventSource is not that of streaming: nobody was live.
func (SimulatedRecording) EventSource() string { return SourceSimulator }
