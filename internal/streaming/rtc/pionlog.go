package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLogs sends what pion logs to our log. What pion calls an error is mostly
// a peer that went away, so everything is for debugging.
type pionLogs struct{ log *slog.Logger }

// NewLogger makes the logger of one part of pion.
func (p pionLogs) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{p.log.With("pion", scope)}
}

type pionLog struct{ log *slog.Logger }

func (l pionLog) say(text string) { l.log.Debug(text) }

func (l pionLog) sayf(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

// Trace and Tracef say nothing: they are per packet.
func (l pionLog) Trace(string)          {}
func (l pionLog) Tracef(string, ...any) {}

// The other levels are all debugging.
func (l pionLog) Debug(text string)         { l.say(text) }
func (l pionLog) Debugf(f string, a ...any) { l.sayf(f, a) }
func (l pionLog) Info(text string)          { l.say(text) }
func (l pionLog) Infof(f string, a ...any)  { l.sayf(f, a) }
func (l pionLog) Warn(text string)          { l.say(text) }
func (l pionLog) Warnf(f string, a ...any)  { l.sayf(f, a) }
func (l pionLog) Error(text string)         { l.say(text) }
func (l pionLog) Errorf(f string, a ...any) { l.sayf(f, a) }
