package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// envelope is an event as it travels: Amazon EventBridge's shape.
type envelope struct {
	Version    string    `json:"version"`
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
	Account    string    `json:"account"`
	Time       time.Time `json:"time"`
	Region     string    `json:"region"`
	Resources  []string  `json:"resources"`
	Detail     complete  `json:"detail"`
}

// complete is a plugin's answer. ID is the video's, or the delivery's.
type complete struct {
	ID        string          `json:"id"`
	TaskToken string          `json:"TaskToken"`
	Message   json.RawMessage `json:"Message"`
}

// answerEvent returns the event of an answer and the subject that it goes to.
// An invocation that is answered again gives an event of the same id, which
// counts once. The id comes from the token, so nobody else can take it first.
func answerEvent(plugin string, in Invocation, message []byte) (subject string, e envelope) {
	return "ev.serverlessVideo-plugin-" + plugin + ".plugin-complete." + in.about(), envelope{
		Version:    "0",
		ID:         uuid.NewSHA1(uuid.NameSpaceOID, []byte("plugin-complete\x00"+in.token)).String(),
		DetailType: "plugin-complete",
		Source:     "serverlessVideo.plugin." + plugin,
		Account:    "local",
		Time:       time.Now().UTC().Truncate(time.Millisecond),
		Region:     "local",
		Resources:  []string{},
		Detail:     complete{ID: in.about(), TaskToken: in.token, Message: message},
	}
}

// send publishes an answer and returns when the bus has stored it.
func (s *server) send(ctx context.Context, in Invocation, message []byte) error {
	subject, e := answerEvent(s.Name, in, message)
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	msg := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{nats.MsgIdHdr: {e.ID}}}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, 5*time.Second)
		_, err := s.js.PublishMsg(msg, nats.Context(try))
		stop()
		if err == nil || !sleep(ctx, firstPause/4) {
			return errors.Join(err, ctx.Err())
		}
	}
}
