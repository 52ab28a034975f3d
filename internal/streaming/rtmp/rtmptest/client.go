package rtmptest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/amf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

const (
	answerTimeout = 15 * time.Second
	handshakeSize = 1536
	outChunk      = 4096
	maxAnswer     = 64 << 10
)

// Client is a connection of a publisher that does one thing at a time. Its
// methods are for one goroutine.
type Client struct {
	conn   net.Conn
	in     *chunk.Reader
	out    *chunk.Writer
	last   float64 // transaction
	stream uint32
	app    string
	name   string
	url    string
}

// StatusError is a refusal of the server's.
type StatusError struct{ Code, Description string }

func (e *StatusError) Error() string { return e.Code + ": " + e.Description }

// Dial connects to rtmp://host:port/app/name, or rtmps, and shakes hands.
func Dial(ctx context.Context, address string, trust *tls.Config) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "rtmps" {
		conn = tls.Client(conn, trust)
	}
	path := strings.TrimPrefix(u.Path, "/")
	app, name, _ := strings.Cut(path, "/")
	c := NewClient(conn)
	c.app, c.name, c.url = app, name, u.Scheme+"://"+u.Host+"/"+app
	if err := c.handshake(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// Accepted publishes on a connection that stands already, as the stream name of
// an application.
func Accepted(conn net.Conn, app, name string) (*Client, error) {
	c := NewClient(conn)
	c.app, c.name, c.url = app, name, "rtmp://localhost/"+app
	err := c.handshake()
	if err == nil {
		err = c.Publish()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// NewClient returns a client on a connection that has not shaken hands.
func NewClient(conn net.Conn) *Client {
	c := &Client{conn: conn, out: chunk.NewWriter(), app: "live"}
	c.in = chunk.NewReader(conn, chunk.Limits{Message: func(uint8) int { return maxAnswer }, Pending: maxAnswer, Reserve: maxAnswer})
	return c
}

// handshake does the plain one.
func (c *Client) handshake() error {
	_ = c.conn.SetDeadline(time.Now().Add(answerTimeout))
	hello := make([]byte, 1+handshakeSize)
	hello[0] = 3
	if _, err := c.conn.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 1+2*handshakeSize)
	if _, err := io.ReadFull(c.conn, answer); err != nil {
		return err
	}
	_, err := c.conn.Write(answer[1 : 1+handshakeSize])
	return err
}

// Conn is the connection below, to do to it what no client does.
func (c *Client) Conn() net.Conn { return c.conn }

// Publish goes from connect to publishing. It returns a *StatusError when the
// server refuses.
func (c *Client) Publish() error {
	if err := c.Write(c.out.SetSize(nil, outChunk)); err != nil {
		return err
	}
	connect := amf.Object{{Name: "app", Value: c.app}, {Name: "type", Value: "nonprivate"}, {Name: "tcUrl", Value: c.url}}
	if _, err := c.Call("connect", connect); err != nil {
		return err
	}
	for _, name := range [...]string{"releaseStream", "FCPublish"} {
		if err := c.Send(0, name, nil, c.name); err != nil {
			return err
		}
	}
	made, err := c.Call("createStream", nil)
	if err != nil {
		return err
	}
	if len(made) < 4 {
		return errors.New("createStream was answered without a stream")
	}
	id, _ := made[3].(float64)
	c.stream = uint32(id)
	if err := c.Send(c.stream, "publish", nil, c.name, "live"); err != nil {
		return err
	}
	_, err = c.WaitStatus("NetStream.Publish.Start")
	return err
}

// Send sends a command with the next transaction's number.
func (c *Client) Send(stream uint32, name string, values ...any) error {
	c.last++
	payload := amf.Append(amf.Append(nil, name, c.last), values...)
	return c.Write(c.out.Append(nil, 3, chunk.Message{Type: chunk.CommandAMF0, StreamID: stream, Payload: payload}))
}

// Call sends a command and waits for its result.
func (c *Client) Call(name string, values ...any) ([]any, error) {
	if err := c.Send(0, name, values...); err != nil {
		return nil, err
	}
	for {
		values, err := c.Command()
		if err != nil {
			return nil, err
		}
		if len(values) < 2 || values[1] != c.last {
			continue
		}
		if values[0] != "_result" {
			return nil, fmt.Errorf("%s was answered with %v", name, values[0])
		}
		return values, nil
	}
}

// Command waits for the next command of the server's.
func (c *Client) Command() ([]any, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(answerTimeout))
	for {
		m, err := c.in.Next()
		if err != nil {
			return nil, err
		}
		if m.Type == chunk.CommandAMF0 {
			return amf.Read(m.Payload)
		}
	}
}

// Message waits for the next message of any kind.
func (c *Client) Message() (chunk.Message, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(answerTimeout))
	return c.in.Next()
}

// WaitStatus waits for a status with a code and returns its description. An
// error status is returned as *StatusError.
func (c *Client) WaitStatus(code string) (string, error) {
	for {
		values, err := c.Command()
		if err != nil {
			return "", err
		}
		if len(values) < 4 || values[0] != "onStatus" {
			continue
		}
		info, _ := values[3].(amf.Object)
		if info.Text("code") == code {
			return info.Text("description"), nil
		}
		if info.Text("level") == "error" {
			return "", &StatusError{Code: info.Text("code"), Description: info.Text("description")}
		}
	}
}

// Tag sends media or data, each kind on a chunk stream of its own.
func (c *Client) Tag(t Tag) error {
	id := uint8(5)
	switch t.Type {
	case chunk.Audio:
		id = 4
	case chunk.Video:
		id = 6
	}
	return c.Write(c.out.Append(nil, id, chunk.Message{Type: t.Type, StreamID: c.stream, Timestamp: t.Timestamp, Payload: t.Data}))
}

// Write sends bytes as they are.
func (c *Client) Write(b []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(answerTimeout))
	_, err := c.conn.Write(b)
	return err
}

// Unpublish ends the broadcast as a good client does.
func (c *Client) Unpublish() error {
	if err := c.Send(0, "FCUnpublish", nil, c.name); err != nil {
		return err
	}
	if err := c.Send(0, "deleteStream", nil, float64(c.stream)); err != nil {
		return err
	}
	_, err := c.WaitStatus("NetStream.Unpublish.Success")
	return err
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }
