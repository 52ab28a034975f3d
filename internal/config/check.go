package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// minSecret is the least length of secret, in bytes.
const minSecret = 32

// Check says what is wrong with the settings, all of it at once, each line with
// the YAML key and what would be right. It also brings values into their one
// form: "off" becomes "", domains become lower case, public_url loses its slash.
func (c *Config) Check() error {
	var errs []error
	no := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}

	if c.DataDir == "" {
		no("data_dir", "a folder is needed, such as ./data")
	}
	for _, a := range []struct {
		key  string
		addr *string
	}{
		{"http", &c.HTTP}, {"https", &c.HTTPS}, {"rtmp", &c.RTMP}, {"rtmps", &c.RTMPS},
		{"webrtc_udp", &c.WebRTCUDP}, {"webrtc_tcp", &c.WebRTCTCP}, {"bus.listen", &c.Bus.Listen},
	} {
		if *a.addr == Off {
			*a.addr = ""
		}
		if err := checkAddr(*a.addr); err != nil {
			no(a.key, "%v", err)
		}
	}
	if c.HTTP == "" && c.HTTPS == "" {
		no("http", "http and https are both off, so nobody could reach the node: set one of them")
	}
	for _, h := range c.WebRTCHost {
		if ip, err := netip.ParseAddr(h); err != nil || ip.IsUnspecified() {
			no("webrtc_host", "%q is no IP address that a peer could send to, such as 203.0.113.7", h)
		}
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if err := checkPublicURL(c.PublicURL); err != nil {
		no("public_url", "%v", err)
	}
	oneOf(no, "log_level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf(no, "log_format", c.LogFormat, "text", "json")
	if c.Secret != "" && len(c.Secret) < minSecret {
		no("secret", "it has %d characters and needs at least %d; `openssl rand -hex 32` makes a good one", len(c.Secret), minSecret)
	}
	c.checkPlugins(no)
	c.checkAuth(no)
	c.checkSMTP(no)
	within(no, "streaming.part_target", c.Streaming.PartTarget, 100*time.Millisecond, time.Second)
	within(no, "streaming.no_media_timeout", c.Streaming.NoMediaTimeout, time.Second, 5*time.Minute)
	within(no, "streaming.reconnect_window", c.Streaming.ReconnectWindow, 0, 10*time.Minute)
	if every := c.Streaming.ThumbnailEvery; every != 0 {
		within(no, "streaming.thumbnail_every", every, 10*time.Second, time.Hour)
	}
	if n := c.Streaming.MaxBitrate; n < 100 || n > 200_000 {
		no("streaming.max_bitrate", "%d kbit/s is not between 100 and 200000", n)
	}
	if n := c.Streaming.TranscodeCores; n < 0 || n > 1024 {
		no("streaming.transcode_cores", "%g cores is not between 0 and 1024", n)
	}
	oneOf(no, "processing.encode", c.Processing.Encode, "never", "missing")
	for _, n := range c.Rules.AllowNetworks {
		if _, err := netip.ParsePrefix(n); err != nil {
			no("rules.allow_networks", "%q is no network: write its first address and the length of its prefix, such as 10.0.0.0/8", n)
		}
	}
	if n := c.Archive.Keep; n < 0 || n > 3650 {
		no("archive.keep", "%d days is not between 0 and 3650", n)
	}
	if n := c.Archive.MaxSize; n < 0 || n > 1<<20 {
		no("archive.max_size", "%d MiB is not between 0 and 1048576", n)
	}
	for key, keep := range map[string]time.Duration{"flows.keep": c.Flows.Keep, "flows.keep_failed": c.Flows.KeepFailed} {
		if keep != 0 {
			within(no, key, keep, 24*time.Hour, 87600*time.Hour)
		}
	}
	if c.Bus.URL != "" {
		no("bus.url", "a shared bus comes in a later version; leave it out, and the node uses its own in the data folder")
	}
	if !isPostgresURL(c.Database.URL) {
		no("database.url", "it is no URL of PostgreSQL: write postgres://USER:PASSWORD@HOST:5432/DATABASE, with %%XX for what is neither letter nor digit in the password")
	}
	return errors.Join(errs...)
}

type complain func(key, format string, args ...any)

func (c *Config) checkPlugins(no complain) {
	for _, p := range c.Plugins {
		if p.Manifest == "" {
			no("plugins", "a plugin has no manifest: give the path of its plugin.json")
		}
		if !pluginSecret.MatchString(p.Secret) {
			no("plugins", "the secret of %s is not 16 to 200 printable characters without blanks; `openssl rand -hex 16` makes a good one", p.Manifest)
		}
	}
	if len(c.Plugins) > 0 && c.Bus.Listen == "" {
		no("plugins", "they could not connect, because nothing listens for them: set bus.listen, such as localhost:4222")
	}
}

func (c *Config) checkAuth(no complain) {
	oneOf(no, "auth.sign_up", c.Auth.SignUp, "open", "closed")
	for i, d := range c.Auth.AllowedDomains {
		d = strings.ToLower(strings.TrimSpace(d))
		if d != "*" && !domainName.MatchString(d) {
			no("auth.allowed_domains", "%q is no domain: write what stands behind the @ of an address, such as example.com", c.Auth.AllowedDomains[i])
		}
		c.Auth.AllowedDomains[i] = d
	}
}

func (c *Config) checkSMTP(no complain) {
	s := c.SMTP
	if s.Port < 1 || s.Port > 65535 {
		no("smtp.port", "%d is no port: use 1 to 65535, most often 587", s.Port)
	}
	if s.Host == "" {
		if s.Username != "" || s.Password != "" || s.From != "" {
			no("smtp.host", "other settings of smtp are there, so the mail server's name is needed")
		}
		return
	}
	if strings.Contains(s.Host, ":") && net.ParseIP(s.Host) == nil {
		no("smtp.host", "%q should be a name without a port; the port goes into smtp.port", s.Host)
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		no("smtp.from", "%q is no sender: write an address, such as video@example.com", s.From)
	}
	if s.Password != "" && s.Username == "" {
		no("smtp.username", "there is a password, so the user name is needed")
	}
}

var (
	domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// The same as the bus asks for: it may stand in a NATS connection.
	pluginSecret = regexp.MustCompile(`^[!-~]{16,200}$`)
	hostName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)
)

// checkAddr accepts host:port and :port, and "" for no address.
func checkAddr(addr string) error {
	if addr == "" {
		return nil
	}
	wrong := fmt.Errorf("%q is no address: write host:port or :port, such as localhost:8080 or :8080", addr)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return wrong
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535: write host:port or :port, such as localhost:8080 or :8080", addr)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !hostName.MatchString(host) {
		return wrong
	}
	return nil
}

func checkPublicURL(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("%q is no web address: write scheme and host, such as https://video.example.com", raw)
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q says more than scheme, host and port: the node lives at the root of its host, such as https://video.example.com", raw)
	}
	return nil
}

// isPostgresURL accepts "" for no database. It says only whether, because the
// parser's reason may repeat a piece of the password.
func isPostgresURL(raw string) bool {
	if raw == "" {
		return true
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Fragment != "" {
		return false
	}
	return u.Hostname() != "" || u.Query().Get("host") != "" // a name, or the folder of a socket
}

func oneOf(no complain, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		no(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func within(no complain, key string, d, least, most time.Duration) {
	if d < least || d > most {
		no(key, "%s is not between %s and %s", d, least, most)
	}
}
