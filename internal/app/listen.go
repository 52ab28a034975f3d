package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
)

// listener is one address at which the node is reached: the gateway over HTTP,
// or the live service over RTMP.
type listener struct {
	name   string // of the setting
	net    net.Listener
	server *http.Server             // nil for RTMP
	rtmp   func(net.Listener) error // nil for HTTP
}

// listenHTTP opens an address of the gateway. With a TLS configuration it speaks
// HTTPS.
func listenHTTP(name, addr string, g *gateway.Gateway, tlsConfig *tls.Config) (*listener, error) {
	l, err := listen(name, addr)
	if err != nil {
		return nil, err
	}
	return &listener{name: name, net: l, server: g.Server(tlsConfig)}, nil
}

// listenRTMP opens an address for RTMP. With a TLS configuration it speaks RTMPS.
func listenRTMP(name, addr string, serve func(net.Listener) error, tlsConfig *tls.Config) (*listener, error) {
	l, err := listen(name, addr)
	if err != nil {
		return nil, err
	}
	if tlsConfig != nil {
		// RTMP is negotiated by nobody: HTTP's protocols are not offered.
		tlsConfig = tlsConfig.Clone()
		tlsConfig.NextProtos = nil
		l = tls.NewListener(l, tlsConfig)
	}
	return &listener{name: name, net: l, rtmp: serve}, nil
}

// listen opens an address before anything else starts, so that a port in use is
// told at once.
func listen(name, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, inUse(addr, name)
	}
	if errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("listening at %s is not allowed: ports below 1024 need the right to it; choose another address with --%s", addr, name)
	}
	if err != nil {
		return nil, fmt.Errorf("listening at %s (--%s): %w", addr, name, err)
	}
	return l, nil
}

func inUse(addr, name string) error {
	return fmt.Errorf("the address %s is in use: end the program that listens there, or choose another address with --%s", addr, name)
}

// mediaPort names the setting when a port for media is in use.
func mediaPort(err error, cfg config.Config) error {
	var op *net.OpError
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) {
		return err
	}
	if strings.HasPrefix(op.Net, "tcp") {
		return inUse(cfg.WebRTCTCP, "webrtc-tcp")
	}
	return inUse(cfg.WebRTCUDP, "webrtc-udp")
}

// serve answers until the listener is closed.
func (l *listener) serve() error {
	if l.rtmp != nil {
		if err := l.rtmp(l.net); err != nil {
			return fmt.Errorf("serving --%s: %w", l.name, err)
		}
		return nil
	}
	var err error
	if l.server.TLSConfig != nil {
		err = l.server.ServeTLS(l.net, "", "")
	} else {
		err = l.server.Serve(l.net)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving --%s: %w", l.name, err)
}

// requestsEnd is how long requests that run may go on when the node stops. A
// held playlist or a page's event stream ends earlier, by its service.
const requestsEnd = 3 * time.Second

// close stops accepting, lets running requests end and cuts those that do not.
func (l *listener) close(log *slog.Logger) {
	if l.server == nil {
		_ = l.net.Close() // its publishers are let go by the live service
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestsEnd)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil {
		log.Debug("requests were cut", "listener", l.name, "err", err)
		_ = l.server.Close() // nothing is lost by it
	}
	_ = l.net.Close() // closed by Shutdown, unless it never served
}
