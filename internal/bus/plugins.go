package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// A Plugin outside the process: who it is and what it hears. Its name and
// secret are the user and password of its NATS connection. It pulls from the
// durable consumer "plugin-{name}" of the stream EVENTS, which the bus makes,
// acknowledges what it got, and answers on
// "ev.serverlessVideo-plugin-{name}.plugin-complete.*". It can do nothing else:
// it lives in an account of its own that imports these subjects alone, so not
// even the subjects that it wants replies on lead out of it.
type Plugin struct {
	Name   string // [A-Za-z0-9_-], up to 50 characters
	Hook   string // preValidate and so on
	Secret string // 16 to 200 printable ASCII characters without blanks
}

const (
	ownAccount   = "SERVERLESSVIDEO"
	ownUser      = "@serverlessvideo" // "@": no plugin can be called so
	pluginPrefix = "plugin-"

	pluginMaxPayload    = 64 << 10 // bytes of one answer's envelope; the answer in it has 20 kB
	pluginMaxConns      = 4
	pluginMaxSubs       = 64
	pluginMaxUnfinished = 256
	pluginAckSeconds    = 60
	pluginTries         = 10
)

var (
	pluginName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)
	pluginHook   = regexp.MustCompile(`^[A-Za-z]{1,50}$`)
	pluginSecret = regexp.MustCompile(`^[!-~]{16,200}$`)
)

// Validate says what is wrong with the plugin, never showing its secret.
func (p Plugin) Validate() error {
	switch {
	case !pluginName.MatchString(p.Name):
		return fmt.Errorf("a plugin's name is 1 to 50 of [A-Za-z0-9_-], not %q", p.Name)
	case !pluginHook.MatchString(p.Hook):
		return fmt.Errorf("plugin %s: a hook's name is 1 to 50 letters, not %q", p.Name, p.Hook)
	case !pluginSecret.MatchString(p.Secret):
		return fmt.Errorf("plugin %s: a secret is 16 to 200 printable ASCII characters without blanks", p.Name)
	case strings.HasPrefix(p.Secret, "$2"):
		return fmt.Errorf("plugin %s: a secret that begins with $2 would be taken for a bcrypt hash", p.Name)
	}
	return nil
}

func (p Plugin) account() string  { return pluginPrefix + p.Name }
func (p Plugin) consumer() string { return pluginPrefix + p.Name }
func (p Plugin) hears() string {
	return "ev.serverlessVideo-pluginManager." + p.Hook + "-" + p.Name + ".*"
}
func (p Plugin) pulls() string {
	return "$JS.API.CONSUMER.MSG.NEXT." + eventStream + "." + p.consumer()
}
func (p Plugin) acks() string { return "$JS.ACK." + eventStream + "." + p.consumer() + ".>" }
func (p Plugin) says() string { return "ev.serverlessVideo-plugin-" + p.Name + ".plugin-complete.*" }

// services are the subjects that a plugin may send to, and how many replies
// each may have.
func (p Plugin) services() []service {
	return []service{{p.pulls(), "stream"}, {p.acks(), "single"}, {p.says(), "single"}}
}

type service struct{ subject, replies string }

func (p Plugin) user(account *server.Account) *server.User {
	may := &server.Permissions{
		Publish:   &server.SubjectPermission{},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
	for _, s := range p.services() {
		may.Publish.Allow = append(may.Publish.Allow, s.subject)
	}
	return &server.User{Username: p.Name, Password: p.Secret, Account: account, Permissions: may}
}

// accountsConfig is the part of a NATS configuration that lays out the
// accounts. It holds names that were validated and no secrets.
func accountsConfig(plugins []Plugin) string {
	var exports, accounts strings.Builder
	for _, p := range plugins {
		fmt.Fprintf(&accounts, "%q { limits { max_payload: %d, max_conn: %d, max_subs: %d }\n imports [\n",
			p.account(), pluginMaxPayload, pluginMaxConns, pluginMaxSubs)
		for _, s := range p.services() {
			fmt.Fprintf(&exports, "{ service: %q, response: %s, accounts: [ %q ] }\n", s.subject, s.replies, p.account())
			fmt.Fprintf(&accounts, "{ service: { account: %s, subject: %q } }\n", ownAccount, s.subject)
		}
		accounts.WriteString("] }\n")
	}
	return fmt.Sprintf("accounts {\n%s { jetstream: enabled\n exports [\n%s] }\n%s}\n", ownAccount, exports.String(), accounts.String())
}

// SetPlugins says which plugins outside the process there are. A plugin that
// is new hears what is said from now on, and from then on misses nothing while
// it is away. One that is gone is cut, and what waited for it is forgotten.
func (b *Bus) SetPlugins(ctx context.Context, plugins []Plugin) error {
	names := map[string]bool{}
	for _, p := range plugins {
		if err := p.Validate(); err != nil {
			return err
		}
		if names[p.consumer()] {
			return fmt.Errorf("there are two plugins %s", p.Name)
		}
		names[p.consumer()] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Consumers first: who can connect finds something to pull from.
	for _, p := range plugins {
		if err := b.makePluginConsumer(ctx, p); err != nil {
			return err
		}
	}
	if err := b.server.reload(plugins); err != nil {
		return err
	}
	return b.dropPluginConsumers(ctx, names)
}

func (b *Bus) makePluginConsumer(ctx context.Context, p Plugin) error {
	_, err := b.js.CreateOrUpdateConsumer(ctx, eventStream, jetstream.ConsumerConfig{
		Durable:       p.consumer(),
		FilterSubject: p.hears(),
		DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       time.Duration(failpoint.Int("bus.plugin_ack_wait_s", pluginAckSeconds)) * time.Second,
		MaxDeliver:    pluginTries,
		MaxAckPending: pluginMaxUnfinished,
	})
	if err != nil {
		return fmt.Errorf("making the consumer of plugin %s: %w", p.Name, err)
	}
	return nil
}

func (b *Bus) dropPluginConsumers(ctx context.Context, keep map[string]bool) error {
	list := b.events.ConsumerNames(ctx)
	var gone []string
	for name := range list.Name() {
		if strings.HasPrefix(name, pluginPrefix) && !keep[name] {
			gone = append(gone, name)
		}
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("listing the consumers of plugins: %w", err)
	}
	for _, name := range gone {
		if err := b.events.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("removing the consumer %s: %w", name, err)
		}
	}
	return nil
}
