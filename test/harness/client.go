package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"testing"
)

// Client calls the API of a node, signed in or not.
type Client struct {
	t    testing.TB
	base string
	http *http.Client
}

// Anonymous returns a client that is not signed in.
func (n *Node) Anonymous() *Client {
	n.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return &Client{t: n.t, base: n.URL, http: &http.Client{Jar: jar, Timeout: Patience}}
}

// SignIn returns a client that is signed in as u.
func (n *Node) SignIn(u User) *Client {
	n.t.Helper()
	c := n.Anonymous()
	body := map[string]string{"email": u.Email, "password": u.Password}
	if status, text := c.Do(http.MethodPost, "/api/auth/signin", body); status != http.StatusOK {
		n.t.Fatalf("sign-in: %d %s", status, text)
	}
	return c
}

// Do sends a JSON body, none when nil, and returns the status and the answer.
func (c *Client) Do(method, path string, body any) (status int, answer []byte) {
	c.t.Helper()
	status, answer, err := c.Try(context.Background(), method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return status, answer
}

// Try is Do on a node that may die meanwhile.
func (c *Client) Try(ctx context.Context, method, path string, body any) (status int, answer []byte, err error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// HTTP returns the client of the session, for what is no single answer.
func (c *Client) HTTP() *http.Client { return c.http }

// Get reads a JSON answer into out; any status but 200 is an error.
func (c *Client) Get(path string, out any) error {
	c.t.Helper()
	status, answer := c.Do(http.MethodGet, path, nil)
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, status, answer)
	}
	return json.Unmarshal(answer, out)
}

// Stream opens an answer that does not end. It is closed with the test.
func (c *Client) Stream(path string) io.Reader {
	c.t.Helper()
	resp, err := c.http.Get(c.base + path)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("GET %s: %s", path, resp.Status)
	}
	return resp.Body
}

// Video is a video as the API shows it.
type Video struct {
	ID        string   `json:"id"`
	Channel   string   `json:"channel"`
	Status    string   `json:"status"`
	Reason    string   `json:"reason"`
	Duration  int64    `json:"duration"`
	Thumbnail string   `json:"thumbnail"`
	StreamURL string   `json:"streamURL"`
	Playback  string   `json:"playbackURL"`
	Tags      []string `json:"tags"`
	Author    struct {
		Username string `json:"username"`
	} `json:"author"`
}

// Entry is one line of a video's history.
type Entry struct {
	Type        string          `json:"type"`
	Key         string          `json:"key"`
	Parent      string          `json:"parent"`
	Title       string          `json:"title"`
	Subtitle    string          `json:"subtitle"`
	Description string          `json:"description"`
	Label       string          `json:"label"`
	Value       json.RawMessage `json:"value"`
}

// List is the shape of every list.
type List[T any] struct {
	NextPage string `json:"nextPage"`
	Count    int    `json:"count"`
	Data     []T    `json:"data"`
}

// MyVideos returns all videos of the signed-in user, newest first.
func (c *Client) MyVideos() ([]Video, error) {
	c.t.Helper()
	var list List[Video]
	err := c.Get("/api/channel/videos?limit=100", &list)
	return list.Data, err
}

// WaitVideo waits until the signed-in user has a video in one of the states and
// returns it.
func (c *Client) WaitVideo(id string, states ...string) Video {
	c.t.Helper()
	var v Video
	Eventually(c.t, fmt.Sprintf("video %s is %v", id, states), func() error {
		if err := c.Get("/api/video/"+id, &v); err != nil {
			return err
		}
		for _, s := range states {
			if v.Status == s {
				return nil
			}
		}
		return fmt.Errorf("it is %q (%s)", v.Status, v.Reason)
	})
	return v
}

// History returns the whole timeline of a video.
func (c *Client) History(id string) []Entry {
	c.t.Helper()
	var list List[Entry]
	if err := c.Get("/api/video/"+id+"/history?limit=100", &list); err != nil {
		c.t.Fatal(err)
	}
	return list.Data
}
