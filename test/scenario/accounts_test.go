package scenario

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// TestAccountSuspended has an admin suspend somebody who is live.
func TestAccountSuspended(t *testing.T) {
	t.Parallel()
	n := harness.Start(t)
	admin := n.SignIn(n.AddUser("admin@example.com", "admin"))
	u := n.AddUser("ann@example.com", "broadcaster")
	owner := n.SignIn(u)
	live := publish(t, n, u, 30*time.Second)
	id := liveStream(t, n, u)
	waitSent(t, live.Sent, 2*time.Second)

	const why = "showed a whole film"
	change(t, admin, http.MethodPost, u, "/suspend", map[string]string{"reason": why}, http.StatusOK)
	offAir(t, n, u)
	if status, _ := owner.Do(http.MethodGet, "/api/channel", nil); status != http.StatusUnauthorized {
		t.Errorf("the session still answers %d", status)
	}
	mayNotPublish(t, n, u, why)
	harness.Eventually(t, "what was live is a video", func() error { return admin.Get("/api/video/"+id, &harness.Video{}) })

	change(t, admin, http.MethodPost, u, "/restore", nil, http.StatusOK)
	p := publish(t, n, u, 3*time.Second)
	again := liveStream(t, n, u)
	stop(t, p)
	n.SignIn(u).WaitVideo(again, "invalid")
}

// TestAccountDeletedAndKilled deletes the accounts of people who have videos or are
// live, and kills the program at random moments after that. When it has come back,
// nothing is left of them.
func TestAccountDeletedAndKilled(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		accountsDeletedAndKilled(t, harness.New(t), leftOf)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		n := harness.New(t)
		n.UseDatabase(storetest.PostgresURL(t))
		accountsDeletedAndKilled(t, n, func(t *testing.T, n *harness.Node, id string) error {
			if found := objectsOf(t, n, id); found > 0 {
				return fmt.Errorf("%d objects", found)
			}
			return nil // rows about it would be found by the check
		})
	})
}

func accountsDeletedAndKilled(t *testing.T, n *harness.Node, left func(*testing.T, *harness.Node, string) error) {
	n.Start()
	root := n.AddUser("admin@example.com", "admin")
	everythingIntoTheLog(t, n.SignIn(root))
	var ids []string
	for i := range 3 {
		u := n.AddUser(fmt.Sprintf("owner%d@example.com", i), "broadcaster")
		p := publish(t, n, u, 3*time.Second)
		ids = append(ids, liveStream(t, n, u))
		stop(t, p)
		n.SignIn(u).WaitVideo(ids[len(ids)-1], "invalid")
		publish(t, n, u, 30*time.Second)
		ids = append(ids, liveStream(t, n, u))
		change(t, n.SignIn(root), http.MethodDelete, u, "", nil, http.StatusNoContent)
		if i > 0 { // the first one lives to see it
			after := rand.N(150 * time.Millisecond)
			time.Sleep(after)
			n.Kill()
			t.Logf("killed %s after account %d was deleted", after, i)
			n.Start()
		}
		harness.Eventually(t, "the channel is gone", func() error {
			if status, _ := n.Anonymous().Do(http.MethodGet, "/api/channel/"+u.ID, nil); status != http.StatusNotFound {
				return fmt.Errorf("it answers %d", status)
			}
			return nil
		})
		mayNotPublish(t, n, u, "there is no channel")
	}
	for _, id := range ids {
		harness.Eventually(t, "nothing is left of "+id, func() error { return left(t, n, id) })
	}
	harness.Eventually(t, "a check finds nothing", func() error {
		out, err := n.Command("", "check", "--data-dir", n.Dir, "--grace", "1ms", "--json")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	// The address begins anew, as somebody else.
	u := n.AddUser("owner0@example.com", "broadcaster")
	p := publish(t, n, u, 3*time.Second)
	id := liveStream(t, n, u)
	stop(t, p)
	n.SignIn(u).WaitVideo(id, "invalid")
	if all, err := n.SignIn(u).MyVideos(); err != nil || len(all) != 1 {
		t.Errorf("the new account has %+v, %v", all, err)
	}
}

// change has an admin change an account.
func change(t *testing.T, admin *harness.Client, method string, u harness.User, what string, body any, want int) {
	t.Helper()
	if status, answer := admin.Do(method, "/api/admin/users/"+u.ID+what, body); status != want {
		t.Fatalf("%s %s: %d %s, want %d", method, what, status, answer, want)
	}
}

// offAir waits until a channel is not live any more.
func offAir(t *testing.T, n *harness.Node, u harness.User) {
	t.Helper()
	harness.Eventually(t, "the channel is off", func() error {
		var ch struct{ Live bool }
		if err := n.Anonymous().Get("/api/channel/"+u.ID, &ch); err != nil {
			return err
		}
		if ch.Live {
			return fmt.Errorf("%+v", ch)
		}
		return nil
	})
}

// mayNotPublish tries to go live with the old key, and wants to be told why not.
func mayNotPublish(t *testing.T, n *harness.Node, u harness.User, why string) {
	t.Helper()
	c, err := clip()
	if err != nil {
		t.Fatal(err)
	}
	p, err := streamtest.Publish(t.Context(), n.WHIP(u), u.Channel.StreamKey, streamtest.Options{Clips: []*streamtest.Clip{c}, Duration: time.Second})
	if err == nil {
		_ = p.Close()
		t.Fatal("the publisher is let in")
	}
	if !strings.Contains(err.Error(), why) {
		t.Errorf("refused: %v, want %q", err, why)
	}
}
