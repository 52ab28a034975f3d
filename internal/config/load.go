package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Load returns the checked settings that flags (args, without a command),
// environment (as os.Environ gives it) and the file named by one of them say.
// Every error of it is a mistake of whoever wrote the settings.
func Load(environ []string, args ...string) (Config, error) {
	var c Config
	options := append([]kong.Option{kong.Name("serverlessvideo"), kong.NoDefaultHelp()}, Options(environ)...)
	parser, err := kong.New(&c, options...)
	if err != nil {
		return Config{}, err
	}
	if _, err := parser.Parse(args); err != nil {
		return Config{}, err
	}
	if err := c.Check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Options make a kong parser read the settings that are not given as flags from
// the environment and the file. A command takes part with those of its flags
// that have the name of a setting.
func Options(environ []string) []kong.Option {
	s := &sources{environ: environ, known: map[string]Setting{}}
	for _, setting := range Settings() {
		s.known[setting.Flag] = setting
		s.envs = append(s.envs, setting.Env)
	}
	return []kong.Option{
		kong.Resolvers(s),
		kong.WithBeforeResolve(s.read),
		kong.ValueFormatter(s.help),
	}
}

// sources answers kong's question what a flag that was not given should be.
type sources struct {
	environ []string
	known   map[string]Setting // by flag
	envs    []string
	values  map[string]any // by flag; nil until read
}

// read collects the values of environment and file. kong calls it once for
// every element of the command line; the first call does the work.
func (s *sources) read(ctx *kong.Context) error {
	file, takesPart := s.fileFlag(ctx)
	if s.values != nil || !takesPart {
		return nil
	}
	s.values = map[string]any{}
	env, err := s.readEnv()
	if err != nil {
		return err
	}
	if file == "" {
		file = env["config"]
	}
	if file != "" {
		values, err := readFile(file)
		if err != nil {
			return err
		}
		for flag, setting := range s.known {
			if v, ok := values[setting.Key]; ok {
				if err := parses(setting, v.raw, v.where); err != nil {
					return err
				}
				s.values[flag] = v.raw
			}
		}
	}
	for flag, v := range env {
		s.values[flag] = v
	}
	return nil
}

// fileFlag returns the value of --config, and whether the command has that flag.
func (s *sources) fileFlag(ctx *kong.Context) (string, bool) {
	for _, p := range ctx.Path {
		for _, f := range p.Flags {
			if f.Name == "config" {
				path, _ := ctx.FlagValue(f).(string)
				return path, true
			}
		}
	}
	return "", false
}

// readEnv returns the values of our environment variables by flag. An empty
// variable counts as not set: that is how containers pass on what they lack.
func (s *sources) readEnv() (map[string]string, error) {
	values := map[string]string{}
	for _, line := range s.environ {
		name, value, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		i := slices.Index(s.envs, name)
		if i < 0 {
			return nil, fmt.Errorf("unknown environment variable %s%s", name, suggestion(name, s.envs))
		}
		if value == "" {
			continue
		}
		for flag, setting := range s.known {
			if setting.Env != name {
				continue
			}
			if err := parses(setting, value, name); err != nil {
				return nil, err
			}
			values[flag] = value
		}
	}
	return values, nil
}

// parses makes sure that kong will understand the value, because kong's own
// error would name a flag that nobody wrote.
func parses(s Setting, raw any, where string) error {
	text, ok := raw.(string)
	if !ok {
		return nil
	}
	switch s.Kind {
	case Duration:
		if _, err := time.ParseDuration(text); err != nil {
			return fmt.Errorf("%s: %q is no duration: write a number and a unit, such as 250ms, 10s or 1m30s", where, text)
		}
	case Plugins:
		for _, item := range kong.SplitEscaped(text, ',') {
			if err := new(Plugin).UnmarshalText([]byte(item)); err != nil {
				return fmt.Errorf("%s: %w", where, err)
			}
		}
	case Number:
		if _, err := strconv.Atoi(text); err != nil {
			return fmt.Errorf("%s: %q is no whole number", where, text)
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (s *sources) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	return s.values[flag.Name], nil
}

// Validate implements kong.Resolver.
func (s *sources) Validate(*kong.Application) error { return nil }

// help shows a setting's default and environment variable beside its flag.
func (s *sources) help(v *kong.Value) string {
	setting, ok := s.known[v.Name]
	switch {
	case !ok:
		return v.Help
	case setting.Default != "":
		return fmt.Sprintf("%s (default %s, $%s)", v.Help, setting.Default, setting.Env)
	default:
		return fmt.Sprintf("%s ($%s)", v.Help, setting.Env)
	}
}
