package rules

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

const (
	maxAnswer = 64 << 10 // bytes of an answer's body that are read
	maxSaid   = 300      // of what a target says that are kept
	userAgent = "ServerlessVideo-Webhook/1"

	// headerReplay has the replay's id where an event is not sent as it happens.
	headerReplay = "webhook-replay"
)

// outcome is what became of one try.
type outcome struct {
	status int           // of HTTP, 0 when there was no answer
	err    string        // why it failed, "" when it did not
	after  time.Duration // the target asks not to come earlier
	final  bool          // trying again does not mend it
}

// newSecret returns a signing secret in the form of Standard Webhooks: 32
// random bytes.
func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// post sends a delivery to a rule's webhook, as Standard Webhooks 1.0 has it: the
// delivery's id, the time of the try and a signature of both and the body.
func (s *Service) post(ctx context.Context, r sqlc.Rule, d sqlc.RuleDelivery) outcome {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Url, strings.NewReader(d.Body))
	if err != nil {
		return outcome{err: err.Error()}
	}
	now := time.Now()
	signature, err := s.sign(r, d.ID, now, []byte(d.Body))
	if err != nil {
		return outcome{err: err.Error()}
	}
	h := request.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", userAgent)
	h.Set(standardwebhooks.HeaderWebhookID, d.ID)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	if d.Replay != "" {
		h.Set(headerReplay, d.Replay)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return outcome{err: s.unreachable(ctx, err)}
	}
	defer func() { _ = response.Body.Close() }()
	// Read, so that the connection can be used again; an answer that is longer
	// loses it.
	said, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return outcome{status: response.StatusCode} // it has the event, whatever became of its words
	}
	o := outcome{status: response.StatusCode, err: refusal(response, said), after: retryAfter(response.Header, now)}
	if err != nil {
		o.err += "; " + s.unreachable(ctx, err)
	}
	return o
}

// sign makes the signatures: with the secret and, for a day after it was
// changed, with the one before.
func (s *Service) sign(r sqlc.Rule, id string, at time.Time, body []byte) (string, error) {
	sealed := [][]byte{r.SecretSealed}
	if len(r.OldSecretSealed) > 0 && at.UnixMilli() < r.OldSecretUntil {
		sealed = append(sealed, r.OldSecretSealed)
	}
	var signatures []string
	for _, text := range sealed {
		secret, err := s.sealer.Open(text, r.ID)
		if err != nil {
			return "", fmt.Errorf("the rule's secret cannot be read (%w); make a new one", err)
		}
		webhook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return "", fmt.Errorf("the rule's secret: %w", err)
		}
		signature, err := webhook.Sign(id, at, body)
		if err != nil {
			return "", fmt.Errorf("signing: %w", err)
		}
		signatures = append(signatures, signature)
	}
	return strings.Join(signatures, " "), nil
}

// unreachable says why there was no answer, without the URL, which may hold
// secrets of the target.
func (s *Service) unreachable(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", s.cfg.Timeout)
	}
	var whole *url.Error
	if errors.As(err, &whole) {
		err = whole.Err
	}
	return clip(err.Error())
}

// refusal is what an answer other than 2xx says.
func refusal(response *http.Response, said []byte) string {
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return clip(fmt.Sprintf("%s: redirects are not followed; give the rule the URL itself (%s)",
			response.Status, response.Header.Get("Location")))
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "")), " ")
	if text == "" {
		return clip(response.Status)
	}
	return clip(response.Status + ": " + text)
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(0, seconds)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

func clip(s string) string {
	if len(s) <= maxSaid {
		return s
	}
	return strings.ToValidUTF8(s[:maxSaid], "") + "…"
}

// seal encrypts a rule's secret; none stays none.
func (s *Service) seal(secret, rule string) []byte {
	if secret == "" {
		return []byte{}
	}
	return s.sealer.Seal(secret, rule)
}

// rotated gives a rule a new secret; the old one signs for a day more.
func (s *Service) rotated(r sqlc.Rule, secret string) sqlc.Rule {
	r.OldSecretSealed, r.OldSecretUntil = r.SecretSealed, store.Now()+oldSecretFor.Milliseconds()
	r.SecretSealed = s.seal(secret, r.ID)
	return r
}
