package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		DataDir: "./data", HTTP: "localhost:8080", WebRTCUDP: ":8189",
		LogLevel: "info", LogFormat: "text",
		Auth: config.Auth{SignUp: "open"},
		SMTP: config.SMTP{Port: 587},
		Streaming: config.Streaming{
			PartTarget: 220 * time.Millisecond, NoMediaTimeout: 10 * time.Second, ReconnectWindow: time.Minute,
			MaxBitrate: 20_000, ThumbnailEvery: time.Minute,
		},
		Processing: config.Processing{Encode: "never"},
		Archive:    config.Archive{Keep: 30, MaxSize: 1024},
		Flows:      config.Flows{Keep: 30 * 24 * time.Hour, KeepFailed: 90 * 24 * time.Hour},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("defaults are\n%+v, want\n%+v", c, want)
	}
}

// Every setting can be given in each of the three ways, and each way wins over
// the weaker ones.
func TestEverySettingEveryWay(t *testing.T) {
	values := map[string][3]string{ // key: in the file, in the environment, as a flag
		"data_dir": {"/f", "/e", "/a"}, "http": {":1", ":2", ":3"}, "https": {":1", ":2", ":3"},
		"rtmp": {":1", ":2", ":3"}, "rtmps": {":1", ":2", ":3"}, "webrtc_udp": {":1", ":2", ":3"}, "webrtc_tcp": {":1", ":2", ":3"},
		"webrtc_host": {"10.0.0.1,10.0.0.2", "10.0.0.3,10.0.0.4", "10.0.0.5,10.0.0.6"},
		"public_url":  {"https://f.example.com", "https://e.example.com", "https://a.example.com"},
		"log_level":   {"debug", "warn", "error"}, "log_format": {"json", "text", "json"},
		"secret":            {strings.Repeat("f", 32), strings.Repeat("e", 32), strings.Repeat("a", 32)},
		"processing.encode": {"missing", "never", "missing"},
		"auth.sign_up":      {"closed", "open", "closed"}, "auth.allowed_domains": {"f.com,g.com", "e.com,h.com", "a.com,b.com"},
		"smtp.host": {"f.com", "e.com", "a.com"}, "smtp.port": {"1", "2", "3"}, "smtp.username": {"f", "e", "a"},
		"smtp.password": {"f", "e", "a"}, "smtp.from": {"f@f.com", "e@e.com", "a@a.com"},
		"streaming.part_target": {"200ms", "300ms", "400ms"}, "streaming.no_media_timeout": {"2s", "3s", "4s"},
		"streaming.reconnect_window": {"0s", "30s", "2m0s"}, "streaming.max_bitrate": {"1000", "2000", "3000"},
		"streaming.ffmpeg": {"/f", "/e", "/a"}, "streaming.transcode_cores": {"0.5", "1", "2"},
		"streaming.thumbnail_every": {"0s", "30s", "2m0s"},
		"ice_servers":               {"stun:f.com:1,turn:u:p@g.com:2", "stun:e.com:1", "turns:u:p:w@a.com:2"},
		"bus.listen":                {":1", ":2", ":3"},
		"flows.keep":                {"24h0m0s", "0s", "48h0m0s"},
		"flows.keep_failed":         {"0s", "24h0m0s", "87600h0m0s"},
		"database.url":              {"postgres://f/f", "postgres://e/e", "postgres://a/a"},
		"rules.allow_networks":      {"10.0.0.0/8", "fd00::/8,10.0.0.0/8", "127.0.0.1/32"},
		"archive.keep":              {"1", "0", "3650"},
		"archive.max_size":          {"1", "2", "0"},
		"plugins":                   {"f.json=ffffffffffffffff", "e.json=eeeeeeeeeeeeeeee,g.json=ggggggggggggggg=", "a.json=aaaaaaaaaaaaaaaa"},
	}
	refused := map[string]bool{"config": true, "bus.url": true}
	for _, s := range config.Settings() {
		if refused[s.Key] {
			continue
		}
		t.Run(s.Key, func(t *testing.T) {
			v, ok := values[s.Key]
			if !ok {
				t.Fatal("this setting has no values in the test's table")
			}
			// What else must be there for the value to make sense.
			others := []string{"SERVERLESSVIDEO_SMTP_HOST=x.com", "SERVERLESSVIDEO_SMTP_FROM=x@x.com", "SERVERLESSVIDEO_SMTP_USERNAME=x", "SERVERLESSVIDEO_BUS_LISTEN=:9"}
			var env []string
			for _, o := range others {
				if !strings.HasPrefix(o, s.Env+"=") {
					env = append(env, o)
				}
			}
			yaml := s.Key + ": " + v[0]
			if section, key, nested := strings.Cut(s.Key, "."); nested {
				yaml = section + ":\n  " + key + ": " + v[0]
			}
			file := "--config=" + writeFile(t, yaml+"\n")
			inEnv := append([]string{s.Env + "=" + v[1]}, env...)

			for i, got := range []func() (config.Config, error){
				func() (config.Config, error) { return config.Load(env, file) },
				func() (config.Config, error) { return config.Load(inEnv, file) },
				func() (config.Config, error) { return config.Load(inEnv, file, "--"+s.Flag+"="+v[2]) },
			} {
				c, err := got()
				if err != nil {
					t.Fatal(err)
				}
				if value := valueOf(t, c, s.Flag); value != v[i] {
					t.Errorf("source %d: got %q, want %q", i, value, v[i])
				}
			}
		})
	}
}

// valueOf finds a setting's value in c by its flag, as text.
func valueOf(t *testing.T, c config.Config, flag string) string {
	t.Helper()
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		if prefix, nested := f.Tag.Lookup("prefix"); nested && strings.HasPrefix(flag, prefix) {
			for j := range field.NumField() {
				if prefix+field.Type().Field(j).Tag.Get("name") == flag {
					return text(field.Field(j))
				}
			}
		}
		if f.Tag.Get("name") == flag {
			return text(field)
		}
	}
	t.Fatalf("no field for --%s", flag)
	return ""
}

func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []string:
		return strings.Join(x, ",")
	case time.Duration:
		return x.String()
	case []config.Plugin:
		var all []string
		for _, p := range x {
			all = append(all, p.Manifest+"="+p.Secret)
		}
		return strings.Join(all, ",")
	case []config.ICEServer:
		var all []string
		for _, s := range x {
			scheme, host, _ := strings.Cut(s.URL, ":")
			if s.Username != "" {
				host = s.Username + ":" + s.Password + "@" + host
			}
			all = append(all, scheme+":"+host)
		}
		return strings.Join(all, ",")
	case int:
		return strconv.Itoa(x)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	default:
		return v.String()
	}
}

func TestFileNamedByEnvironment(t *testing.T) {
	path := writeFile(t, "http: :9000 # a comment\n")
	c, err := config.Load([]string{"SERVERLESSVIDEO_CONFIG=" + path})
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP != ":9000" || c.File != path {
		t.Errorf("http %q, config %q", c.HTTP, c.File)
	}
}

func TestFileForms(t *testing.T) {
	tests := []struct {
		name, yaml string
		check      func(config.Config) bool
	}{
		{"empty", "", func(c config.Config) bool { return c.HTTP == "localhost:8080" }},
		{"only comments", "# nothing\n", func(c config.Config) bool { return c.HTTP == "localhost:8080" }},
		{"hyphens", "data-dir: /x\nauth:\n  sign-up: closed\n", func(c config.Config) bool { return c.DataDir == "/x" && c.Auth.SignUp == "closed" }},
		{"sequence", "webrtc_host:\n  - 10.0.0.1\n  - 10.0.0.2\n", func(c config.Config) bool { return len(c.WebRTCHost) == 2 && c.WebRTCHost[1] == "10.0.0.2" }},
		{"empty sequence", "auth: {allowed_domains: []}\n", func(c config.Config) bool { return len(c.Auth.AllowedDomains) == 0 }},
		{"flow style", "auth: {allowed_domains: [a.com, B.com]}\n", func(c config.Config) bool {
			return reflect.DeepEqual(c.Auth.AllowedDomains, []string{"a.com", "b.com"})
		}},
		{"quoted", "http: \":9000\"\n", func(c config.Config) bool { return c.HTTP == ":9000" }},
		{"section without settings", "auth:\n  # sign_up: closed\nhttp: :9000\n", func(c config.Config) bool { return c.HTTP == ":9000" }},
		{"number that looks otherwise", "smtp: {host: m.com, from: a@m.com, username: a, password: 0123}\n", func(c config.Config) bool { return c.SMTP.Password == "0123" }},
		{"plugins", "bus: {listen: :1}\nplugins:\n  - manifest: a/plugin.json\n    secret: 0123456789,bcdef\n  - b.json=0123456789abcdef\n", func(c config.Config) bool {
			return reflect.DeepEqual(c.Plugins, []config.Plugin{{"a/plugin.json", "0123456789,bcdef"}, {"b.json", "0123456789abcdef"}})
		}},
		{"off", "http: off\nhttps: :8443\n", func(c config.Config) bool { return c.HTTP == "" && c.HTTPS == ":8443" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Load(nil, "--config", writeFile(t, tt.yaml))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(c) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestMistakesAreNamed(t *testing.T) {
	file := func(yaml string) []string { return []string{"--config", writeFile(t, yaml)} }
	tests := []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"unknown flag", nil, []string{"--htp=:1"}, []string{"--htp", "--http"}},
		{"unknown variable", []string{"SERVERLESSVIDEO_HTPP=:1"}, nil, []string{"SERVERLESSVIDEO_HTPP", "did you mean SERVERLESSVIDEO_HTTP"}},
		{"unknown variable unlike any", []string{"SERVERLESSVIDEO_COLOUR_OF_THE_LOGO=red"}, nil, []string{"unknown environment variable SERVERLESSVIDEO_COLOUR_OF_THE_LOGO"}},
		{"unknown key", nil, file("a: 1"), []string{"node.yaml:1", `unknown key "a"`}},
		{"unknown nested key", nil, file("http: :1\nbus:\n  lisen: :1\n"), []string{"node.yaml:3", `"bus.lisen"`, "did you mean bus.listen"}},
		{"key of a section at the top", nil, file("sign_up: closed\n"), []string{`"sign_up"`}},
		{"section with a value", nil, file("auth: open\n"), []string{"auth is a section"}},
		{"file in a file", nil, file("config: other.yaml\n"), []string{"cannot name another"}},
		{"set twice under two spellings", nil, file("data_dir: a\ndata-dir: b\n"), []string{"data_dir is set twice"}},
		{"set twice", nil, file("http: :1\nhttp: :2\n"), []string{"http"}},
		{"list for one value", nil, file("http: [':1', ':2']\n"), []string{"node.yaml:1", "http", "not a list"}},
		{"missing value", nil, file("http:\n"), []string{"http", "a value is missing"}},
		{"nested value", nil, file("http: {port: 1}\n"), []string{"http", "plain value"}},
		{"not settings", nil, file("- a\n- b\n"), []string{"key: value"}},
		{"not YAML", nil, file("http: [\n"), []string{"is not YAML"}},
		{"file is not there", nil, []string{"--config", "/nowhere/x.yaml"}, []string{"/nowhere/x.yaml"}},
		{"duration in the file", nil, file("streaming: {part_target: 5}\n"), []string{"streaming.part_target", "is no duration", "250ms"}},
		{"duration in the environment", []string{"SERVERLESSVIDEO_STREAMING_PART_TARGET=x"}, nil, []string{"SERVERLESSVIDEO_STREAMING_PART_TARGET", "is no duration"}},
		{"number in the environment", []string{"SERVERLESSVIDEO_SMTP_PORT=x"}, nil, []string{"SERVERLESSVIDEO_SMTP_PORT", "is no whole number"}},
		{"plugin with an unknown key", nil, file("plugins: [{name: a}]\n"), []string{"plugins", `unknown key "name"`, "manifest and secret"}},
		{"plugin in the environment", []string{"SERVERLESSVIDEO_PLUGINS=x"}, nil, []string{"SERVERLESSVIDEO_PLUGINS", "MANIFEST=SECRET"}},
		{"plugin as a flag", nil, []string{"--plugins=x"}, []string{"--plugins", "MANIFEST=SECRET"}},
		{"positional argument", nil, []string{"stray"}, []string{"stray"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Load(tt.env, tt.args...)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

func TestForeignVariablesAreIgnored(t *testing.T) {
	if _, err := config.Load([]string{"PATH=/bin", "SERVERLESS=1", "SERVERLESSVIDEO=1", "SERVERLESSVIDEO_RTMP="}); err != nil {
		t.Error(err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("http: :1\nauth: {allowed_domains: [a.com]}\n")
	f.Add("bus:\n  listen: &a localhost:1\nhttp: *a\n")
	f.Add("secret: |\n  text\n  more\n")
	f.Add("---\n...\n---\nhttp: !!str x\n<<: {a: b}\n? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(nil, "--config="+path)
		if err == nil && c.Check() != nil {
			t.Error("what was accepted once is refused the second time")
		}
	})
}
