package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/localca"
	"github.com/serverlessvideo/serverlessvideo/web"
)

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// newGateway makes the HTTP entrance with all services in it.
func (a *App) newGateway() (*gateway.Gateway, error) {
	files, built := web.Files()
	if !built {
		a.log.Warn("this binary was built without the web app: `make build` builds both")
	}
	g, err := gateway.New(gateway.Config{
		PublicURL: a.cfg.PublicURL, Logger: a.log, Registry: a.registry,
		Authenticate: a.accounts.Authenticate, Ready: a.isReady, WebFiles: files,
	})
	if err != nil {
		return nil, err
	}
	a.services.register(g.API(), g.Mux())
	schemaPages{a.schemas}.Register(g.API())
	return g, nil
}

// openListeners opens the addresses for HTTP, RTMP and both over TLS.
func (a *App) openListeners() error {
	if a.cfg.HTTP != "" {
		if err := a.opened(listenHTTP("http", a.cfg.HTTP, a.gateway, nil)); err != nil {
			return err
		}
	}
	if a.cfg.RTMP != "" {
		if err := a.opened(listenRTMP("rtmp", a.cfg.RTMP, a.services.streaming.ServeRTMP, nil)); err != nil {
			return err
		}
	}
	if a.cfg.HTTPS == "" && a.cfg.RTMPS == "" {
		return nil
	}
	authority, err := localca.OpenAuthority(a.folder.tls())
	if err != nil {
		return fmt.Errorf("the node's own certificate authority: %w", err)
	}
	a.gateway.Mux().Handle("GET "+localca.CertificatePath, authority)
	certificates := localca.NewCertificates(authority, a.log).TLSConfig()
	if a.cfg.HTTPS != "" {
		if err := a.opened(listenHTTP("https", a.cfg.HTTPS, a.gateway, certificates)); err != nil {
			return err
		}
	}
	if a.cfg.RTMPS != "" {
		return a.opened(listenRTMP("rtmps", a.cfg.RTMPS, a.services.streaming.ServeRTMP, certificates))
	}
	return nil
}

// opened keeps a listener that could be opened.
func (a *App) opened(l *listener, err error) error {
	if err != nil {
		return err
	}
	a.listeners = append(a.listeners, l)
	a.closeLast("the address of "+l.name, func() error {
		if err := l.net.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// phoneURL is where a phone in the local network reaches the node by HTTPS; ""
// when it does not.
func (a *App) phoneURL() string {
	if a.cfg.HTTPS == "" {
		return ""
	}
	if isHTTPS(a.cfg.PublicURL) {
		return a.cfg.PublicURL
	}
	host, _, err := net.SplitHostPort(a.cfg.HTTPS)
	if err != nil {
		return ""
	}
	var port string
	for _, l := range a.listeners {
		if l.name == "https" {
			_, port, _ = net.SplitHostPort(l.net.Addr().String()) // the address of a listener has a port
		}
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified():
		ip = localca.LANAddr()
	case err == nil:
	case host == "localhost":
		return ""
	default:
		return "https://" + net.JoinHostPort(host, port)
	}
	if !ip.IsValid() || ip.IsLoopback() {
		return ""
	}
	return "https://" + net.JoinHostPort(ip.String(), port)
}

func isHTTPS(url string) bool { return strings.HasPrefix(url, "https://") }
