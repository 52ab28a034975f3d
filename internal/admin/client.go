package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// maxResponse is the most that a command reads of an answer, in bytes: the list
// of some 100,000 channels.
const maxResponse = 16 << 20

// client is the Operations of a running node.
type client struct {
	at   address
	http *http.Client
}

// connect returns the client of the node that runs on dir, after it has
// answered to the token.
func connect(ctx context.Context, dir string) (*client, error) {
	at, err := readAddress(dir)
	if err != nil {
		return nil, err
	}
	c := &client{at: at, http: &http.Client{Timeout: callTime, Transport: &http.Transport{}}}
	resp, err := c.send(ctx, c.http, http.MethodGet, "/ping", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("who listens at %s does not know the token of admin.json", at.Address)
	}
	return c, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// AddUser implements Operations.
func (c *client) AddUser(ctx context.Context, u NewUser) (User, error) {
	return call(ctx, c, addUser(), u)
}

// ListChannels implements Operations.
func (c *client) ListChannels(ctx context.Context) ([]Channel, error) {
	return call(ctx, c, listChannels(), struct{}{})
}

// RotateKey implements Operations.
func (c *client) RotateKey(ctx context.Context, channelID string) (ChannelKey, error) {
	return call(ctx, c, rotateKey(), channelID)
}

// Check implements Operations.
func (c *client) Check(ctx context.Context, r CheckRequest, progress func(string)) (CheckReport, error) {
	return callLong(ctx, c, check(), r, progress)
}

// RebuildHistory implements Operations.
func (c *client) RebuildHistory(ctx context.Context, r RebuildRequest, progress func(string)) (RebuildReport, error) {
	return callLong(ctx, c, rebuildHistory(), r, progress)
}

func call[In, Out any](ctx context.Context, c *client, op operation[In, Out], in In) (Out, error) {
	var out Out
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	resp, err := c.send(ctx, c.http, http.MethodPost, op.path, body)
	if err != nil {
		return out, errs.Wrap(err, errs.Unavailable, "the running node did not answer; look into its log before doing this again")
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(io.LimitReader(resp.Body, maxResponse))
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := decoder.Decode(&f); err != nil {
			return out, errs.Newf(errs.Internal, "the running node answered %s", resp.Status)
		}
		return out, errs.New(f.Code, f.Message)
	}
	if err := decoder.Decode(&out); err != nil {
		return out, errs.Wrap(err, errs.Internal, "the running node's answer cannot be read")
	}
	return out, nil
}

func (c *client) send(ctx context.Context, by *http.Client, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.at.Address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.at.Token)
	req.Header.Set("Content-Type", "application/json")
	return by.Do(req)
}
