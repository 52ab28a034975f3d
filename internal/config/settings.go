package config

import (
	"reflect"
	"strings"
	"time"
)

// Setting is one leaf of Config, under its three names.
type Setting struct {
	Key     string // in the YAML file, sections separated by dots: streaming.part_target
	Flag    string // on the command line, without the dashes: streaming-part-target
	Env     string // in the environment: SERVERLESSVIDEO_STREAMING_PART_TARGET
	Default string
	Help    string
	Kind    Kind
}

// Kind is what a setting's value looks like.
type Kind string

// The kinds of values.
const (
	Text     Kind = "text"
	List     Kind = "list"    // separated by commas; a YAML sequence in the file
	Plugins  Kind = "plugins" // MANIFEST=SECRET, separated by commas
	Number   Kind = "number"
	Duration Kind = "duration" // as Go writes it: 250ms, 10s, 1m30s
)

// Settings lists all settings in the order of Config.
func Settings() []Setting {
	return settingsOf(reflect.TypeFor[Config](), "", "")
}

func settingsOf(t reflect.Type, flagPrefix, keyPrefix string) []Setting {
	var out []Setting
	for i := range t.NumField() {
		f := t.Field(i)
		if prefix, nested := f.Tag.Lookup("prefix"); nested {
			section := underscored(strings.TrimSuffix(prefix, "-"))
			out = append(out, settingsOf(f.Type, flagPrefix+prefix, keyPrefix+section+".")...)
			continue
		}
		name := f.Tag.Get("name")
		flag := flagPrefix + name
		out = append(out, Setting{
			Key:     keyPrefix + underscored(name),
			Flag:    flag,
			Env:     EnvPrefix + strings.ToUpper(underscored(flag)),
			Default: f.Tag.Get("default"),
			Help:    f.Tag.Get("help"),
			Kind:    kindOf(f.Type),
		})
	}
	return out
}

func kindOf(t reflect.Type) Kind {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return Duration
	case t == reflect.TypeFor[[]Plugin]():
		return Plugins
	case t.Kind() == reflect.Slice:
		return List
	case t.Kind() == reflect.Int:
		return Number
	default:
		return Text
	}
}

// underscored is a name as YAML keys and environment variables write it.
func underscored(name string) string { return strings.ReplaceAll(name, "-", "_") }

// nearest returns the candidate most like name, or "" when none is like it.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if d := distance(name, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two strings, by bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// suggestion is the tail of an error about an unknown name.
func suggestion(name string, candidates []string) string {
	if c := nearest(name, candidates); c != "" {
		return "; did you mean " + c + "?"
	}
	return ""
}
