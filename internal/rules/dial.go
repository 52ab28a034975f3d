package rules

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

const (
	maxAnswerHeader = 64 << 10 // bytes
	idleFor         = 30 * time.Second
)

// newClient returns a client for addresses that are public or in one of the
// networks. It looks at the address that it is about to connect to, so that no
// name leads it elsewhere, follows no redirect and asks no proxy.
func newClient(timeout time.Duration, networks []netip.Prefix) *http.Client {
	dialer := &net.Dialer{
		Timeout: timeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%q is no address: %w", address, err)
			}
			return mayReach(to.Addr(), networks)
		},
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: maxAnswerHeader,
			MaxIdleConnsPerHost:    2,
			MaxIdleConns:           100,
			IdleConnTimeout:        idleFor,
		},
	}
}

// mayReach says why a webhook may not be sent to an address; nil when it may.
func mayReach(a netip.Addr, networks []netip.Prefix) error {
	a = a.Unmap().WithZone("")
	if slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) }) {
		return nil
	}
	if !public(a) {
		return fmt.Errorf("%s is not a public address; the setting rules.allow_networks can allow it", a)
	}
	return nil
}

// public says whether an address is one of the internet's: of the registries of
// special-purpose addresses (RFC 6890, kept by IANA) none.
func public(a netip.Addr) bool {
	if a.Is4() {
		return !slices.ContainsFunc(special4(), func(n netip.Prefix) bool { return n.Contains(a) })
	}
	bytes := a.As16()
	if nat64().Contains(a) { // an IPv4 address is in the last four bytes
		return public(netip.AddrFrom4([4]byte(bytes[12:])))
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20}), 3).Contains(a) &&
		!slices.ContainsFunc(special6(), func(n netip.Prefix) bool { return n.Contains(a) })
}

func special4() []netip.Prefix {
	return prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	)
}

// special6 are those within 2000::/3, all that is given out. 6to4 and Teredo
// (2002::/16, 2001::/32) would lead to IPv4 addresses within.
func special6() []netip.Prefix {
	return prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
}

// nat64 is where IPv4 is reached from networks of IPv6 alone (RFC 6052).
func nat64() netip.Prefix { return netip.MustParsePrefix("64:ff9b::/96") }

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
