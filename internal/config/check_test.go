package config_test

import (
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		flags string // separated by spaces
		want  string // in the error; "" means that the value is right
	}{
		{"--http=:8080", ""},
		{"--http=0.0.0.0:8080", ""},
		{"--http=[::1]:0", ""},
		{"--http=my-host.local:80", ""},
		{"--http=off --https=:8443", ""},
		{"--http=8080", "http: \"8080\" is no address"},
		{"--http=:99999", "no port from 0 to 65535"},
		{"--http=:http", "no port from 0 to 65535"},
		{"--http=a/b:80", "is no address"},
		{"--http=http://localhost:80", "http: "},
		{"--http=off", "http and https are both off"},
		{"--https=x", "https: "},
		{"--rtmp=x", "rtmp: "},
		{"--rtmps=x", "rtmps: "},
		{"--webrtc-udp=x", "webrtc_udp: "},
		{"--webrtc-tcp=x", "webrtc_tcp: "},
		{"--bus-listen=x", "bus.listen: "},
		{"--webrtc-host=203.0.113.7,2001:db8::1", ""},
		{"--webrtc-host=example.com", "webrtc_host: \"example.com\""},
		{"--webrtc-host=0.0.0.0", "webrtc_host: "},
		{"--public-url=https://video.example.com/", ""},
		{"--public-url=http://10.0.0.1:8080", ""},
		{"--public-url=video.example.com", "public_url: \"video.example.com\" is no web address"},
		{"--public-url=ftp://video.example.com", "public_url: "},
		{"--public-url=https://video.example.com/sub", "more than scheme, host and port"},
		{"--public-url=https://u:p@video.example.com", "more than scheme, host and port"},
		{"--public-url=https://:443", "public_url: "},
		{"--log-level=loud", "log_level: \"loud\" is not one of debug, info, warn, error"},
		{"--log-format=xml", "log_format: "},
		{"--secret=short", "needs at least 32"},
		{"--data-dir=", "data_dir: "},
		{"--auth-sign-up=maybe", "auth.sign_up: "},
		{"--rules-allow-networks=10.0.0.0/8,fd00::/8", ""},
		{"--rules-allow-networks=10.0.0.1", "rules.allow_networks: \"10.0.0.1\""},
		{"--archive-keep=-1", "archive.keep: -1 days"},
		{"--archive-keep=3651", "archive.keep: 3651 days"},
		{"--archive-max-size=-1", "archive.max_size: -1 MiB"},
		{"--auth-allowed-domains=*", ""},
		{"--auth-allowed-domains=Example.com,sub.example.org", ""},
		{"--auth-allowed-domains=a@example.com", "auth.allowed_domains: \"a@example.com\""},
		{"--plugins=p.json=0123456789abcdef --bus-listen=:4222", ""},
		{"--plugins=p.json=0123456789abcdef", "set bus.listen"},
		{"--plugins=p.json=short --bus-listen=:4222", "the secret of p.json"},
		{"--smtp-host=mail.example.com --smtp-from=a@example.com", ""},
		{"--smtp-host=mail.example.com", "smtp.from: "},
		{"--smtp-host=mail.example.com:25 --smtp-from=a@example.com", "smtp.port"},
		{"--smtp-from=a@example.com", "smtp.host: "},
		{"--smtp-port=0", "smtp.port: "},
		{"--smtp-host=m.com --smtp-from=a@m.com --smtp-password=x", "smtp.username: "},
		{"--streaming-part-target=99ms", "streaming.part_target: 99ms is not between 100ms and 1s"},
		{"--streaming-no-media-timeout=1h", "streaming.no_media_timeout: "},
		{"--bus-url=nats://x", "bus.url: a shared bus comes in a later version"},
		{"--database-url=postgres://u:p%2F@db:5432/video?sslmode=require", ""},
		{"--database-url=postgresql:///video?host=/run/postgresql", ""},
		{"--database-url=mysql://x/y", "database.url: it is no URL of PostgreSQL"},
		{"--database-url=postgres://u:pass#word@x/y", "database.url: it is no URL of PostgreSQL"},
		{"--database-url=postgres:///y", "database.url: it is no URL of PostgreSQL"},
	}
	for _, tt := range tests {
		t.Run(tt.flags, func(t *testing.T) {
			_, err := config.Load(nil, strings.Fields(tt.flags)...)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && err == nil:
				t.Error("accepted")
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestCheckNamesEveryMistakeAtOnce(t *testing.T) {
	_, err := config.Load(nil, "--http=x", "--log-level=y")
	if err == nil || !strings.Contains(err.Error(), "http: ") || !strings.Contains(err.Error(), "log_level: ") {
		t.Errorf("got %v", err)
	}
}

func TestBaseURL(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{nil, "http://localhost:8080"},
		{[]string{"--http=:80"}, "http://localhost:80"},
		{[]string{"--http=0.0.0.0:80"}, "http://localhost:80"},
		{[]string{"--http=[::]:80"}, "http://localhost:80"},
		{[]string{"--http=10.0.0.1:80"}, "http://10.0.0.1:80"},
		{[]string{"--https=:8443"}, "https://localhost:8443"},
		{[]string{"--https=:8443", "--public-url=https://v.example.com/"}, "https://v.example.com"},
	}
	for _, tt := range tests {
		c, err := config.Load(nil, tt.args...)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.BaseURL(); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.args, got, tt.want)
		}
	}
}
