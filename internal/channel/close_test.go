package channel

import (
	"context"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func (n *node) raise(t *testing.T, channel string) error {
	t.Helper()
	return n.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := n.RaiseEpoch(ctx, tx, channel)
		return err
	})
}

func TestOwnerMayNotBroadcast(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		n.ensure(t, ann())
		n.owners["ann"] = errs.New(errs.Forbidden, "suspended")
		if err := n.raise(t, "ann"); errs.CodeOf(err) != errs.Forbidden {
			t.Errorf("%v, want forbidden", err)
		}
		delete(n.owners, "ann")
		if err := n.raise(t, "ann"); err != nil {
			t.Error(err)
		}
	})
}

var (
	annMade = event.New(event.BroadcastUserCreated{Sub: "ann", Email: "a@example.com", Username: "quiet-otter-42"})
	annGone = event.New(event.UserDeleted{Sub: "ann"})
)

// A channel closes with its owner's account, in whatever order that is heard.
func TestChannelCloses(t *testing.T) {
	for name, heard := range map[string][]event.Envelope{
		"in order":             {annMade, annGone},
		"twice":                {annMade, annGone, annMade, annGone},
		"its beginning last":   {annGone, annMade},
		"while it is live":     {annMade, stream(event.StreamStart, "ann", "st-2"), annGone},
		"its stream goes late": {annMade, stream(event.StreamStart, "ann", "st-2"), annGone, stream(event.StreamEnd, "ann", "st-2")},
		"its stream came late": {annMade, annGone, stream(event.StreamStart, "ann", "st-2")},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, n *node) {
				n.ensure(t, bob())
				var key string
				for _, e := range heard {
					n.hear(t, e)
					if c, err := n.Ensure(t.Context(), ann()); err == nil {
						key = c.StreamKey
					}
				}
				n.mustBeClosed(t, key)
				n.client.Get("/api/channel/bob").Want(200)
			})
		})
	}
}

// mustBeClosed looks for ann's channel in all ways.
func (n *node) mustBeClosed(t *testing.T, key string) {
	t.Helper()
	ctx := t.Context()
	_, ensured := n.Ensure(ctx, ann())
	_, found := n.Channel(ctx, "ann")
	_, _, byKey := n.ChannelByKey(ctx, key)
	_, rotated := n.RotateKey(ctx, "ann")
	for what, err := range map[string]error{"made": ensured, "found": found, "found by its key": byKey, "given a key": rotated, "broadcast on": n.raise(t, "ann")} {
		if errs.CodeOf(err) != errs.NotFound {
			t.Errorf("the channel is %s: %v", what, err)
		}
	}
	n.client.Get("/api/channel/ann").Want(404)
	n.client.As(ann()).Get("/api/channel").Want(404)
	for _, path := range []string{"/api/channels", "/api/channels?live=true"} {
		var list store.List[PublicChannel]
		n.client.Get(path).Want(200).JSON(&list)
		for _, c := range list.Data {
			if c.Name == "ann" {
				t.Errorf("%s has it", path)
			}
		}
	}
	all, err := n.List(ctx)
	if err != nil || len(all) != 1 {
		t.Errorf("the operator sees %+v, %v", all, err)
	}
	var left string
	row := n.db.Read().QueryRowContext(ctx, "SELECT username FROM channels WHERE id = 'ann'")
	if err := row.Scan(&left); err != nil || left != "" {
		t.Errorf("the tombstone has the name %q, %v", left, err)
	}
}

// Pages learn that a channel is gone.
func TestClosingIsSaidOnce(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		n.hear(t, annMade)
		n.hear(t, annGone)
		n.hear(t, annGone)
		if said := n.said(t); said != "ChannelUpdated ChannelUpdated" {
			t.Errorf("said %q", said)
		}
	})
}
