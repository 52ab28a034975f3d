package account

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/wneessen/go-mail"
)

// SMTP is the mail server that mails are given to.
type SMTP struct {
	Host               string
	Port               int // 465 speaks TLS from the start, any other STARTTLS
	Username, Password string
	From               string // such as ServerlessVideo <video@example.com>
	// Plaintext allows a connection without TLS. Tests and mail servers on the
	// same machine need it.
	Plaintext bool
}

// Send gives a mail to the server, over a connection of its own.
func (s SMTP) Send(ctx context.Context, to, subject, text string) error {
	msg := mail.NewMsg()
	if err := msg.From(s.From); err != nil {
		return fmt.Errorf("the sender %q: %w", s.From, err)
	}
	if err := msg.To(to); err != nil {
		return fmt.Errorf("the recipient: %w", err)
	}
	msg.Subject(subject)
	msg.SetMessageID()
	msg.SetDate()
	msg.SetBodyString(mail.TypeTextPlain, text)
	var dialed connection
	defer dialed.close()
	client, err := mail.NewClient(s.Host, s.options(&dialed)...)
	if err != nil {
		return fmt.Errorf("the mail server: %w", err)
	}
	return client.DialAndSendWithContext(ctx, msg)
}

// connection remembers what was dialled: the library leaves it open when the
// greeting, STARTTLS or the sign-in fails.
type connection struct{ net.Conn }

func (c *connection) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	c.Conn = conn
	return conn, err
}

func (c *connection) close() {
	if c.Conn != nil {
		_ = c.Close() // after a success it is closed already
	}
}

func (s SMTP) options(dialed *connection) []mail.Option {
	const timeout = 15 * time.Second
	options := []mail.Option{mail.WithTimeout(timeout)}
	switch {
	case s.Port == 465:
		options = append(options, mail.WithSSL()) // the library dials TLS itself
	case s.Plaintext:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS), mail.WithDialContextFunc(dialed.dial))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithDialContextFunc(dialed.dial))
	}
	if s.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.Username), mail.WithPassword(s.Password))
	}
	// After the policies, which set a port of their own.
	return append(options, mail.WithPort(s.Port))
}
