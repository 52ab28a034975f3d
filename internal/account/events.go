package account

import (
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// becameBroadcaster is what the service says, in the transaction in which
// somebody gets the role. It hears nothing.
func becameBroadcaster(p identity.Principal) event.Envelope {
	return event.New(event.BroadcastUserCreated{Sub: p.ID, Email: p.Email, Username: p.Username})
}
