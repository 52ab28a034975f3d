package streamtest

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/pion/webrtc/v4"
)

// Cut takes the network away: nothing goes out or comes in, while the publisher
// goes on. The media of that time is lost.
func (p *Publisher) Cut() { p.network.gone.Store(true) }

// Resume gives the network back, with the same addresses.
func (p *Publisher) Resume() { p.network.gone.Store(false) }

// Restart restarts ICE (RFC 9725, 4.3.3), as after a change of networks: from
// new sockets, with the same session. Media goes on meanwhile. It returns when
// the server has answered.
func (p *Publisher) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	offer, err := p.peer.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(p.peer)
	if err := p.peer.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.network.gone.Store(false)
	fragment := strings.Join(iceLines(p.peer.LocalDescription().SDP), "\r\n") + "\r\n"
	answer, err := p.patch(ctx, fragment)
	if err != nil {
		return err
	}
	p.answer = withICE(p.answer, iceLines(answer))
	return p.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: p.answer})
}

// patch sends an SDP fragment to the session and returns the one that answers.
func (p *Publisher) patch(ctx context.Context, fragment string) (string, error) {
	req, err := p.newRequest(ctx, http.MethodPatch, p.location, fragment)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/trickle-ice-sdpfrag")
	req.Header.Set("If-Match", "*")
	resp, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", &StatusError{Status: resp.StatusCode, Body: string(body)}
	}
	p.etag = resp.Header.Get("ETag")
	return string(body), nil
}

// iceLines are the lines of a description or a fragment that are about ICE, up
// to the end of its first media section.
func iceLines(text string) []string {
	var lines []string
	sections := 0
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		if strings.HasPrefix(l, "m=") {
			if sections++; sections > 1 {
				break
			}
			lines = append(lines, l)
		}
		if isICE(l) || strings.HasPrefix(l, "a=mid:") {
			lines = append(lines, l)
		}
	}
	return lines
}

func isICE(line string) bool {
	for _, prefix := range []string{"a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// withICE puts the credentials and candidates of a fragment into a description,
// in each of its sections.
func withICE(description string, fragment []string) string {
	var out []string
	for l := range strings.Lines(description) {
		l = strings.TrimRight(l, "\r\n")
		if isICE(l) || l == "" {
			continue
		}
		out = append(out, l)
		if strings.HasPrefix(l, "a=mid:") {
			for _, f := range fragment {
				if isICE(f) {
					out = append(out, f)
				}
			}
		}
	}
	return strings.Join(out, "\r\n") + "\r\n"
}
