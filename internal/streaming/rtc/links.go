package rtc

import (
	"fmt"
	"strings"

	"github.com/pion/webrtc/v4"
)

// Links returns the Link headers that tell clients of ICE servers (RFC 9725,
// section 4.6).
func Links(servers []webrtc.ICEServer) []string {
	var links []string
	for _, s := range servers {
		for _, url := range s.URLs {
			link := fmt.Sprintf(`<%s>; rel="ice-server"`, url)
			if password, ok := s.Credential.(string); ok && s.Username != "" {
				link += fmt.Sprintf(`; username=%s; credential=%s; credential-type="password"`, quote(s.Username), quote(password))
			}
			links = append(links, link)
		}
	}
	return links
}

// quote makes a quoted-string (RFC 9110, 5.6.4).
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
