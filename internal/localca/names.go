package localca

import (
	"cmp"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// names are what a certificate is for: the machine's names and addresses.
type names struct {
	dns []string
	ips []netip.Addr
}

func (n names) equal(o names) bool { return slices.Equal(n.dns, o.dns) && slices.Equal(n.ips, o.ips) }

// permittedNames are the domains that the authority may certify: those that
// mean something in a local network only, and this machine's own name.
func permittedNames() []string {
	permitted := []string{"localhost", "local", "lan", "internal", "home.arpa"}
	if host := hostname(); host != "" && !within(host, permitted) {
		permitted = append(permitted, host)
	}
	return permitted
}

// within says whether name is one of the domains or below one.
func within(name string, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

// hostname is the machine's name in lower case, "" when it has none that a
// certificate can carry.
func hostname() string {
	host, err := os.Hostname()
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	valid := func(r rune) bool {
		return r == '-' || r == '.' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
	}
	if err != nil || host == "" || strings.ContainsFunc(host, func(r rune) bool { return !valid(r) }) {
		return ""
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}

// localNames returns localhost, the machine's name, alone and under .local, and
// all addresses of its interfaces, as far as permitted covers them.
func localNames(permitted []string) (names, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return names{}, err
	}
	n := names{dns: []string{"localhost"}}
	if host := hostname(); host != "" {
		for _, name := range []string{host, strings.SplitN(host, ".", 2)[0] + ".local"} {
			if within(name, permitted) && !slices.Contains(n.dns, name) {
				n.dns = append(n.dns, name)
			}
		}
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			n.ips = append(n.ips, prefix.Addr().Unmap().WithZone(""))
		}
	}
	slices.SortFunc(n.ips, netip.Addr.Compare)
	n.ips = slices.Compact(n.ips)
	return n, nil
}

// LANAddr returns the address under which other devices of the local network
// most likely reach this machine: the one it would itself send from, else the
// first that is not a loopback. It returns an invalid Addr when there is none.
func LANAddr() netip.Addr {
	// Connecting a UDP socket sends nothing; it only asks for the route. The
	// address is of a block for documentation (RFC 5737).
	if conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 9}); err == nil {
		from := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = conn.Close()
		if usable(from) {
			return from
		}
	}
	n, err := localNames(nil)
	if err != nil {
		return netip.Addr{}
	}
	n.ips = slices.DeleteFunc(n.ips, func(a netip.Addr) bool { return !usable(a) })
	if len(n.ips) == 0 {
		return netip.Addr{}
	}
	// IPv4 first: it is what people can type.
	return slices.MinFunc(n.ips, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
}

func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsLinkLocalUnicast()
}
