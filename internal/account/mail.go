package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Sender sends a mail of plain text. An error means that it may be tried again.
type Sender interface {
	Send(ctx context.Context, to, subject, text string) error
}

// What became of a mail.
const (
	mailQueued = "queued" // waits for its first or next attempt
	mailSent   = "sent"   // the mail server took it
	mailFailed = "failed" // given up
	mailShown  = "shown"  // there is no mail server: it stands in the log and is shown to the admin
)

const (
	mailsKept    = 7 * 24 * time.Hour
	mailAttempts = 8 // with waits of 1, 2, 4, … min: about two hours
	mailTimeout  = 30 * time.Second
	mailClaim    = 2 * time.Minute // longer than mailTimeout: nobody else sends it meanwhile
	mailBatch    = 20
	mailIdle     = time.Minute // how often mails of other nodes that ended are looked for
)

// outbox queues mails in the database and sends them.
type outbox struct {
	db     *store.DB
	log    *slog.Logger
	sealer *store.Sealer
	sender Sender
	base   string
	retry  time.Duration
	wake   chan struct{}
}

func newOutbox(cfg Config, sealer *store.Sealer) *outbox {
	return &outbox{
		db: cfg.DB, log: cfg.Logger, sealer: sealer, sender: cfg.Mail, base: cfg.BaseURL,
		retry: cfg.MailRetry, wake: make(chan struct{}, 1),
	}
}

// mailText is a mail: text with %s for the node's URL, and the link below it.
type mailText struct{ to, subject, text, link string }

// add queues a mail with the transaction. Without a mail server it only keeps
// the link, for the admin.
func (o *outbox) add(ctx context.Context, tx *store.Tx, m mailText) error {
	mailID := id.New()
	now := store.Now()
	status := mailQueued
	if o.sender == nil {
		status = mailShown
	}
	// The link stands alone on the first line: it is what the admin is shown.
	sealed := o.sealer.Seal(m.link+"\n"+fmt.Sprintf(m.text, o.base), mailID)
	err := sqlc.New(tx).InsertMail(ctx, sqlc.InsertMailParams{
		ID: mailID, Recipient: m.to, Subject: m.subject, Sealed: sealed, Status: status, CreatedAt: now, DueAt: now,
	})
	if err != nil {
		return fmt.Errorf("queueing a mail: %w", err)
	}
	return nil
}

// announce follows the commit of a mail's transaction: it is sent now, or its
// link is written to the log where there is no mail server.
func (o *outbox) announce(ctx context.Context, m mailText) {
	if o.sender == nil {
		o.log.InfoContext(ctx, "no mail server is configured: this link is for "+m.to, "subject", m.subject, "link", m.link)
		return
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// sendDue sends what is due and says when to look again.
func (o *outbox) sendDue(ctx context.Context) time.Duration {
	if o.sender == nil {
		return mailIdle
	}
	due, err := sqlc.New(o.db.Read()).DueMails(ctx, sqlc.DueMailsParams{DueAt: store.Now(), Limit: mailBatch})
	if err != nil {
		if ctx.Err() == nil {
			o.log.WarnContext(ctx, "mails wait: the queue cannot be read", "err", err)
		}
		return mailIdle
	}
	for _, m := range due {
		if ctx.Err() != nil {
			return mailIdle
		}
		if err := o.send(ctx, m); err != nil && ctx.Err() == nil {
			o.log.WarnContext(ctx, "a mail waits", "mail", m.ID, "err", err)
		}
	}
	if len(due) == mailBatch {
		return 0
	}
	return min(o.retry, mailIdle)
}

// send makes one attempt and notes what became of it.
func (o *outbox) send(ctx context.Context, m sqlc.DueMailsRow) error {
	mine, err := o.claim(ctx, m)
	if err != nil || !mine {
		return err
	}
	note := sqlc.SetMailParams{ID: m.ID, Status: mailSent, Sealed: []byte{}, Attempts: m.Attempts + 1, DueAt: store.Now()}
	if err := o.attempt(ctx, m); err != nil {
		if ctx.Err() != nil {
			return err // stopping: the claim runs out and the mail is sent after the restart
		}
		note.Status, note.Sealed, note.Problem = mailQueued, m.Sealed, err.Error()
		note.DueAt = store.Now() + (o.retry << m.Attempts).Milliseconds()
		if note.Attempts >= mailAttempts {
			note.Status = mailFailed
		}
		o.log.WarnContext(ctx, "a mail could not be sent", "mail", m.ID, "attempt", note.Attempts, "of", mailAttempts, "err", err)
	}
	return o.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return sqlc.New(tx).SetMail(ctx, note) })
}

// claim keeps other nodes from sending the same mail.
func (o *outbox) claim(ctx context.Context, m sqlc.DueMailsRow) (mine bool, err error) {
	err = o.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := sqlc.New(tx).ClaimMail(ctx, sqlc.ClaimMailParams{
			DueAt: store.Now() + mailClaim.Milliseconds(), ID: m.ID, DueAt_2: m.DueAt,
		})
		mine = n == 1
		return err
	})
	return mine, err
}

func (o *outbox) attempt(ctx context.Context, m sqlc.DueMailsRow) error {
	link, text, err := o.open(m.ID, m.Sealed)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	return o.sender.Send(ctx, m.Recipient, m.Subject, text+"\n\n"+link+"\n")
}

func (o *outbox) open(mailID string, sealed []byte) (link, text string, err error) {
	all, err := o.sealer.Open(sealed, mailID)
	if err != nil {
		return "", "", err
	}
	link, text, ok := strings.Cut(all, "\n")
	if !ok {
		return "", "", errors.New("a mail without text")
	}
	return link, text, nil
}
