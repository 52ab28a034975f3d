// Package config holds every setting of a node in one struct. Flags, environment
// variables and a YAML file say the same things; flags win over the environment,
// the environment over the file, the file over the defaults. It is strict: what
// it does not know is an error that names it.
package config

import (
	"errors"
	"net"
	"strings"
	"time"
)

// EnvPrefix begins the name of every environment variable that a node reads.
const EnvPrefix = "SERVERLESSVIDEO_"

// Off is the value that turns a listener off; an empty value does the same.
const Off = "off"

// Config is what a node can be told. The struct is the only list of settings:
// flags, environment variables, YAML keys and docs/configuration.md derive from
// its tags. A nested field `part-target` of the section `streaming` is the flag
// --streaming-part-target, the variable SERVERLESSVIDEO_STREAMING_PART_TARGET
// and the YAML key streaming.part_target.
type Config struct {
	DataDir    string      `name:"data-dir" default:"./data" placeholder:"DIR" help:"Folder for everything the node keeps: database, recordings, keys. Made when missing."`
	HTTP       string      `name:"http" default:"localhost:8080" placeholder:"ADDR" help:"Address of plain HTTP; off turns it off."`
	HTTPS      string      `name:"https" placeholder:"ADDR" help:"Address of HTTPS with a certificate of the node's own authority, so that phones in the local network may use their camera, such as :8443."`
	RTMP       string      `name:"rtmp" placeholder:"ADDR" help:"Address of RTMP ingest for OBS and other encoders, such as :1935. The stream key is the stream name: rtmp://HOST/live."`
	RTMPS      string      `name:"rtmps" placeholder:"ADDR" help:"Address of RTMP ingest over TLS, with the certificate of HTTPS, such as :1936."`
	WebRTCUDP  string      `name:"webrtc-udp" default:":8189" placeholder:"ADDR" help:"Address of the one UDP port that all WebRTC media uses."`
	WebRTCTCP  string      `name:"webrtc-tcp" placeholder:"ADDR" help:"Address for WebRTC media over TCP, for networks that block UDP."`
	WebRTCHost []string    `name:"webrtc-host" placeholder:"IP" help:"IP addresses to offer to WebRTC peers instead of the machine's own, for Docker and 1:1 NAT."`
	ICEServers []ICEServer `name:"ice-servers" placeholder:"URL" help:"STUN and TURN servers that WebRTC clients are told of: stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT."`
	PublicURL  string      `name:"public-url" placeholder:"URL" help:"Where people reach this node, such as https://video.example.com. Links in answers begin with it. By default they begin with what the request was sent to."`
	File       string      `name:"config" placeholder:"FILE" help:"YAML file with settings."`
	LogLevel   string      `name:"log-level" default:"info" placeholder:"LEVEL" help:"Least important level that is logged: debug, info, warn or error."`
	LogFormat  string      `name:"log-format" default:"text" placeholder:"FORMAT" help:"Form of the log: text or json."`
	Secret     string      `name:"secret" placeholder:"TEXT" help:"Key that stream keys are encrypted with, at least 32 characters. By default the node makes one and keeps it as secret.key in its data folder. Better set by environment or file: other users of the machine can read flags."`

	Plugins []Plugin `name:"plugins" placeholder:"MANIFEST=SECRET" help:"Plugins outside the process: the path of each one's plugin.json and the secret (16 to 200 printable characters without blanks) with which it connects to bus.listen. In the file also as a sequence of manifest and secret. Better set by environment or file: other users of the machine can read flags."`

	Auth       Auth       `embed:"" prefix:"auth-"`
	SMTP       SMTP       `embed:"" prefix:"smtp-"`
	Streaming  Streaming  `embed:"" prefix:"streaming-"`
	Processing Processing `embed:"" prefix:"processing-"`
	Bus        Bus        `embed:"" prefix:"bus-"`
	Database   Database   `embed:"" prefix:"database-"`
	Rules      Rules      `embed:"" prefix:"rules-"`
	Archive    Archive    `embed:"" prefix:"archive-"`
	Flows      Flows      `embed:"" prefix:"flows-"`
}

// Plugin is a plugin outside the process. Its name is its user name on the bus.
type Plugin struct {
	Manifest string // path of its plugin.json
	Secret   string
}

// UnmarshalText reads the form MANIFEST=SECRET.
func (p *Plugin) UnmarshalText(text []byte) error {
	manifest, secret, found := strings.Cut(string(text), "=")
	if !found || manifest == "" {
		// The text may be a secret, so the error does not repeat it.
		return errors.New("a plugin is written as MANIFEST=SECRET, such as ./leaderboard/plugin.json=SECRET")
	}
	*p = Plugin{Manifest: manifest, Secret: secret}
	return nil
}

// ICEServer is a STUN or TURN server.
type ICEServer struct {
	URL                string // stun:, turn: or turns:, without credentials
	Username, Password string // of TURN
}

// UnmarshalText reads stun:HOST:PORT and turn:USER:PASSWORD@HOST:PORT.
func (s *ICEServer) UnmarshalText(text []byte) error {
	scheme, rest, _ := strings.Cut(string(text), ":")
	credentials, host, found := strings.Cut(rest, "@")
	if !found {
		credentials, host = "", rest
	}
	username, password, _ := strings.Cut(credentials, ":")
	switch {
	case host == "" || scheme != "stun" && scheme != "turn" && scheme != "turns":
		return errors.New("an ICE server is written as stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT")
	case scheme != "stun" && (username == "" || password == ""):
		return errors.New("a TURN server needs its credentials: turn:USER:PASSWORD@HOST:PORT")
	}
	*s = ICEServer{URL: scheme + ":" + host, Username: username, Password: password}
	return nil
}

// Auth decides who may have an account, and who of them may broadcast.
type Auth struct {
	SignUp         string   `name:"sign-up" default:"open" placeholder:"WHO" help:"open: anyone may make an account. closed: accounts are made by an admin only."`
	AllowedDomains []string `name:"allowed-domains" placeholder:"DOMAIN" help:"E-mail domains whose confirmed users may broadcast. Nobody becomes a broadcaster by a domain when the list is empty. * allows every domain."`
}

// SMTP is the mail server for confirmation links. Without a host the links are
// written to the log.
type SMTP struct {
	Host     string `name:"host" placeholder:"HOST" help:"Mail server. Without one, confirmation links are written to the log and shown to the admin."`
	Port     int    `name:"port" default:"587" placeholder:"PORT" help:"Port of the mail server, 1 to 65535. 465 speaks TLS from the start, any other port STARTTLS."`
	Username string `name:"username" placeholder:"NAME" help:"User name at the mail server; none means no sign-in."`
	Password string `name:"password" placeholder:"TEXT" help:"Password at the mail server. Better set by environment or file: other users of the machine can read flags."`
	From     string `name:"from" placeholder:"ADDRESS" help:"Sender of the mails, such as ServerlessVideo <video@example.com>."`
}

// Streaming tunes the live path.
type Streaming struct {
	PartTarget      time.Duration `name:"part-target" default:"220ms" placeholder:"DURATION" help:"Longest duration of an LL-HLS part, 100ms to 1s. Shorter is closer to live and costs more requests."`
	NoMediaTimeout  time.Duration `name:"no-media-timeout" default:"10s" placeholder:"DURATION" help:"How long a publisher may send nothing before its connection is closed, 1s to 5m."`
	ReconnectWindow time.Duration `name:"reconnect-window" default:"60s" placeholder:"DURATION" help:"How long a broadcast waits for its publisher to come back before it ends, 0s to 10m. With 0s it ends when the connection is lost."`
	MaxBitrate      int           `name:"max-bitrate" default:"20000" placeholder:"KBIT/S" help:"Publishers that send more are refused, 100 to 200000 kbit/s."`
	FFmpeg          string        `name:"ffmpeg" placeholder:"PATH" help:"The ffmpeg that makes lower renditions, AAC and pictures. By default the one on the search path; without any, all that needs no codec works."`
	TranscodeCores  float64       `name:"transcode-cores" default:"0" placeholder:"CORES" help:"How many cores live transcoding may take in all; new streams go without when they are taken. 0: 60 % of the machine's."`
	ThumbnailEvery  time.Duration `name:"thumbnail-every" default:"60s" placeholder:"DURATION" help:"How often a picture is taken of a live stream, 10s to 1h; 0s for never."`
}

// Processing is what is made of a recording.
type Processing struct {
	Encode string `name:"encode" default:"never" placeholder:"WHAT" help:"What is encoded again after a broadcast, so that every player shows its MP4. never: nothing, it holds what was recorded. missing: H.264 of H.265, VP9 and AV1, and AAC of a recording that has none; at low priority, but a core is busy for about as long as the video lasts."`
}

// Bus is where events travel.
type Bus struct {
	Listen string `name:"listen" placeholder:"ADDR" help:"Address where plugins outside the process connect to the event bus (NATS), such as localhost:4222. Nothing listens by default."`
	URL    string `name:"url" placeholder:"URL" help:"Shared event bus. Of a later version: a node refuses to start with it."`
}

// Rules carry events to webhooks.
type Rules struct {
	AllowNetworks []string `name:"allow-networks" placeholder:"NETWORK" help:"Networks that webhooks may reach although they are not public, such as 10.0.0.0/8 or 127.0.0.1/32. By default webhooks reach public addresses alone."`
}

// Archive keeps events.
type Archive struct {
	Keep    int `name:"keep" default:"30" placeholder:"DAYS" help:"How many days events are kept, to look at them, to replay them and to build histories anew, up to 3650. With 0 none are kept, and those that there are go."`
	MaxSize int `name:"max-size" default:"1024" placeholder:"MIB" help:"How much of the database kept events may take, in MiB, up to 1048576; the oldest go first. 0: any."`
}

// Flows are the durable workflows behind recordings.
type Flows struct {
	Keep       time.Duration `name:"keep" default:"720h" placeholder:"DURATION" help:"How long flows that are done are kept with their steps, 24h to 87600h; 0s for ever. The default is 30 days."`
	KeepFailed time.Duration `name:"keep-failed" default:"2160h" placeholder:"DURATION" help:"How long flows that failed, were cancelled or were abandoned are kept, 24h to 87600h; 0s for ever. The default is 90 days."`
}

// Database is where rows are kept when not in the data folder.
type Database struct {
	URL string `name:"url" placeholder:"URL" help:"PostgreSQL database (13 or newer) for all rows and flows instead of SQLite files in the data folder, such as postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full. It is one node's alone. Better set by environment or file: other users of the machine can read flags."`
}

// BaseURL is what a link begins with when there is no request to take it from:
// PublicURL, else the address of HTTPS, else of HTTP. It does not end in a slash.
func (c *Config) BaseURL() string {
	switch {
	case c.PublicURL != "":
		return strings.TrimRight(c.PublicURL, "/")
	case c.HTTPS != "":
		return "https://" + dialable(c.HTTPS)
	default:
		return "http://" + dialable(c.HTTP)
	}
}

// dialable turns an address to listen at into one to connect to.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
