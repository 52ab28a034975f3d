package bus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	startTimeout = 20 * time.Second
	maxPayload   = 1 << 20 // of the bus's own messages; plugins have pluginMaxPayload
	maxClients   = 512

	// A client that is told of the shutdown has this long to look for another
	// server before its connection is closed.
	lameDuckGrace = 50 * time.Millisecond
	lameDuckTime  = time.Second
)

// embedded is a NATS server in this process.
type embedded struct {
	cfg      Config
	password string // of the bus itself, made at each start
	log      *serverLog

	mu      sync.Mutex // guards srv, which only restart changes
	srv     *server.Server
	plugins []Plugin

	restarting sync.Mutex
	stopHealer func() // returns when it has stopped
}

func startServer(cfg Config) (*embedded, error) {
	e := &embedded{cfg: cfg, password: rand.Text(), log: &serverLog{log: cfg.Logger}, plugins: cfg.Plugins}
	for _, p := range cfg.Plugins {
		if err := p.Validate(); err != nil {
			return nil, err
		}
	}
	if err := e.start(); err != nil {
		return nil, err
	}
	e.heal()
	return e, nil
}

func (e *embedded) start() error {
	e.log.forget()
	opts, err := e.options(e.plugins)
	if err != nil {
		return err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("making the bus server: %w", err)
	}
	srv.SetLoggerV2(e.log, false, false, false)
	srv.Start()
	e.mu.Lock()
	e.srv = srv
	e.mu.Unlock()
	// A port that is taken is said before Start returns.
	if e.log.fatal() == nil && srv.ReadyForConnections(startTimeout) {
		return nil
	}
	e.stop()
	return errors.Join(errors.New("the bus server did not start"), e.log.fatal())
}

func (e *embedded) server() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.srv
}

// InProcessConn implements nats.InProcessConnProvider with the server that runs
// now.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.server().InProcessConn() }

// options are the server's, with the credentials of the plugins.
func (e *embedded) options(plugins []Plugin) (*server.Options, error) {
	opts := &server.Options{
		ServerName: "serverlessvideo",
		DontListen: true,
		NoSigs:     true,

		JetStream: true,
		StoreDir:  e.cfg.Dir,
		// One node has no replica to lose less from: an acknowledged event is
		// on the disk.
		SyncAlways:         true,
		JetStreamMaxStore:  e.cfg.MaxBytes + deadMaxBytes + advisoryMaxBytes,
		JetStreamMaxMemory: 16 << 20,

		MaxConn:             maxClients,
		MaxPayload:          maxPayload,
		WriteDeadline:       e.cfg.WriteDeadline,
		PingInterval:        30 * time.Second,
		MaxPingsOut:         2,
		LameDuckDuration:    lameDuckTime,
		LameDuckGracePeriod: lameDuckGrace,
	}
	if e.cfg.Listen != "" {
		if err := e.listenOn(opts); err != nil {
			return nil, err
		}
	}
	return opts, e.authorize(opts, plugins)
}

func (e *embedded) listenOn(opts *server.Options) error {
	host, port, err := net.SplitHostPort(e.cfg.Listen)
	if err != nil {
		return fmt.Errorf("bus.listen %q is not host:port: %w", e.cfg.Listen, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("bus.listen %q: the port is not a number from 0 to 65535", e.cfg.Listen)
	}
	opts.DontListen, opts.Host, opts.Port = false, host, int(n)
	if n == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if e.cfg.TLS != nil {
		opts.TLSConfig, opts.TLSTimeout = e.cfg.TLS, 5
	}
	return nil
}

// authorize gives the bus and each plugin an account and a user of its own.
func (e *embedded) authorize(opts *server.Options, plugins []Plugin) error {
	if err := opts.ProcessConfigString(accountsConfig(plugins)); err != nil {
		return fmt.Errorf("accounts of the bus: %w", err)
	}
	accounts := map[string]*server.Account{}
	for _, a := range opts.Accounts {
		accounts[a.Name] = a
	}
	opts.Users = []*server.User{{
		Username: ownUser, Password: e.password, Account: accounts[ownAccount],
		AllowedConnectionTypes: map[string]struct{}{jwt.ConnectionTypeInProcess: {}},
	}}
	for _, p := range plugins {
		opts.Users = append(opts.Users, p.user(accounts[p.account()]))
	}
	return nil
}

// reload puts other plugins in the place of the present ones. Clients whose
// credential went away are cut.
func (e *embedded) reload(plugins []Plugin) error {
	// The healer would start the server with the plugins of before.
	e.restarting.Lock()
	defer e.restarting.Unlock()
	e.plugins = plugins // also for its next start, should this fail
	// The first time makes new accounts, but the server (2.15) connects the
	// imports only of accounts that it knows from before: hence the second.
	for range 2 {
		opts, err := e.options(plugins)
		if err != nil {
			return err
		}
		if err := e.server().ReloadOptions(opts); err != nil {
			return fmt.Errorf("changing the plugins of the bus: %w", err)
		}
	}
	return nil
}

func (e *embedded) clientOptions() []nats.Option {
	return []nats.Option{nats.InProcessServer(e), nats.UserInfo(ownUser, e.password)}
}

func (e *embedded) addr() string {
	if e.cfg.Listen == "" {
		return ""
	}
	if a, ok := e.server().Addr().(*net.TCPAddr); ok {
		return a.String()
	}
	return ""
}

func (e *embedded) shutDown() {
	e.stopHealer()
	if e.cfg.Listen != "" {
		e.server().LameDuckShutdown()
	}
	e.stop()
}

func (e *embedded) stop() {
	e.server().Shutdown()
	e.server().WaitForShutdown()
}

// serverLog passes the server's log on. Its notices are for its developers.
type serverLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string // why it did not start
	lost bool   // it has said that it writes no more
}

func (l *serverLog) say(level func(string, ...any), format string, args []any) {
	level("bus server: " + fmt.Sprintf(format, args...))
}

func (l *serverLog) Noticef(format string, args ...any) { l.say(l.log.Debug, format, args) }
func (l *serverLog) Warnf(format string, args ...any) {
	if strings.HasPrefix(format, "Plaintext passwords") {
		return // they are random or come from the registry, and stand in no file of the server
	}
	l.say(l.log.Warn, format, args)
}
func (l *serverLog) Errorf(format string, args ...any) {
	if strings.Contains(format, "critical write error") {
		l.mu.Lock()
		l.lost = true
		l.mu.Unlock()
	}
	l.say(l.log.Error, format, args)
}
func (l *serverLog) Debugf(format string, args ...any) { l.say(l.log.Debug, format, args) }
func (l *serverLog) Tracef(format string, args ...any) { l.say(l.log.Debug, format, args) }
func (l *serverLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	l.last = fmt.Sprintf(format, args...)
	l.mu.Unlock()
	l.say(l.log.Error, format, args)
}

// forget begins anew, for another server.
func (l *serverLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.lost = "", false
}

func (l *serverLog) writesNoMore() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == "" {
		return nil
	}
	return errors.New(l.last)
}
