package gateway

import (
	"context"
	"net/http"
)

type baseKey struct{}

// withBase notes under which address the client reached the node.
func withBase(ctx context.Context, r *http.Request) context.Context {
	if !validHost(r.Host) {
		return ctx
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return context.WithValue(ctx, baseKey{}, scheme+r.Host)
}

// BaseURL returns what an absolute URL in the answer to a request begins with
// where no public URL is configured: scheme and host that the request was sent
// to. It is "" outside a request. The client names the host, so it must not
// stand in what others read, such as mails and events.
func BaseURL(ctx context.Context) string {
	base, _ := ctx.Value(baseKey{}).(string)
	return base
}
