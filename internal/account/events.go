package account

import (
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// What the service says, in the transaction in which it happens. It hears nothing.

func becameBroadcaster(p identity.Principal) event.Envelope {
	return event.New(event.BroadcastUserCreated{Sub: p.ID, Email: p.Email, Username: p.Username})
}

func wasSuspended(userID string) event.Envelope { return event.New(event.UserSuspended{Sub: userID}) }

func wasDeleted(userID string) event.Envelope { return event.New(event.UserDeleted{Sub: userID}) }
