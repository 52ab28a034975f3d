package app

import (
	"crypto/tls"
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
	return g, nil
}

// openListeners opens the addresses for HTTP and HTTPS.
func (a *App) openListeners() error {
	if a.cfg.HTTP != "" {
		if err := a.openListener("http", a.cfg.HTTP, nil); err != nil {
			return err
		}
	}
	if a.cfg.HTTPS == "" {
		return nil
	}
	authority, err := localca.OpenAuthority(a.folder.tls())
	if err != nil {
		return fmt.Errorf("the node's own certificate authority: %w", err)
	}
	a.gateway.Mux().Handle("GET "+localca.CertificatePath, authority)
	return a.openListener("https", a.cfg.HTTPS, localca.NewCertificates(authority, a.log).TLSConfig())
}

func (a *App) openListener(name, addr string, tlsConfig *tls.Config) error {
	l, err := listen(name, addr, a.gateway, tlsConfig)
	if err != nil {
		return err
	}
	a.listeners = append(a.listeners, l)
	a.closeLast("the address of "+name, func() error {
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
