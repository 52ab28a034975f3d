package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// childArgument makes the tool a child process. What it shall do comes as a line
// of JSON on its standard input; a line "begin" and one "end" there delimit what
// it measures; it ends when the input does, also when its parent is gone.
const childArgument = "child"

const (
	// childPatience is for a child to connect all it has.
	childPatience = 60 * time.Second
	// childStop is for it to end.
	childStop = 20 * time.Second
)

// order is what a child does.
type order struct {
	Role      string
	Clip      string   // a file with what publishers send
	Endpoints []string // one for each publisher, or the one that all viewers watch
	Keys      []string // stream keys, one for each publisher
	Viewers   int
	Authority []byte // certificate that TLS is trusted by, PEM
}

// tally is what a child saw between begin and end. Delays are in ms.
type tally struct {
	Newest, Oldest []float64 // from sending to having it, of a part's frames or every frame
	Frames, Parts  int
	Playlists      int
	Lost           int
	Failed         string
}

// worker is a child's work.
type worker interface {
	begin()
	end() tally
	close() error
}

// serveOrder is the child.
func serveOrder(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(first, &o); err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	w, err := startWorker(ctx, o)
	if err != nil {
		return errors.Join(err, answers.Encode(tally{Failed: err.Error()}))
	}
	err = answers.Encode(tally{})
	for err == nil {
		var line string
		if line, err = lines.ReadString('\n'); err != nil {
			break
		}
		if line == "begin\n" {
			w.begin()
			continue
		}
		err = answers.Encode(w.end())
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, w.close())
}

func startWorker(ctx context.Context, o order) (worker, error) {
	switch o.Role {
	case "whip":
		return publishWHIP(ctx, o)
	case "rtmp":
		return publishRTMP(ctx, o)
	case "hls":
		return watchHLS(ctx, o)
	case "part":
		return watchParts(ctx, o)
	case "whep":
		return watchWHEP(ctx, o)
	}
	return nil, fmt.Errorf("there is no role %q", o.Role)
}

// child is a child process as its parent sees it.
type child struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan tally
}

// startChild starts a child and returns when all it has is connected.
func startChild(ctx context.Context, o order) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self, childArgument), answers: make(chan tally)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go c.read(out)
	err = json.NewEncoder(c.in).Encode(o)
	if err == nil {
		_, err = c.answer(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the %s child: %w", o.Role, err), c.stop())
	}
	return c, nil
}

// read passes the child's answers on, until it has no more.
func (c *child) read(out io.Reader) {
	defer close(c.answers)
	answers := json.NewDecoder(out)
	for {
		var t tally
		if err := answers.Decode(&t); err != nil {
			return
		}
		c.answers <- t
	}
}

func (c *child) answer(ctx context.Context) (tally, error) {
	ctx, cancel := context.WithTimeout(ctx, childPatience)
	defer cancel()
	select {
	case t, ok := <-c.answers:
		switch {
		case !ok:
			return t, errors.New("it ended")
		case t.Failed != "":
			return t, errors.New(t.Failed)
		}
		return t, nil
	case <-ctx.Done():
		return tally{}, fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// begin begins measuring; end returns what was seen since.
func (c *child) begin() error {
	_, err := io.WriteString(c.in, "begin\n")
	return err
}

func (c *child) end(ctx context.Context) (tally, error) {
	if _, err := io.WriteString(c.in, "end\n"); err != nil {
		return tally{}, err
	}
	return c.answer(ctx)
}

// stop lets the child end what it does, and waits for it.
func (c *child) stop() error {
	_ = c.in.Close()
	kill := time.AfterFunc(childStop, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	for range c.answers { // nobody waits for the rest
	}
	return c.cmd.Wait()
}
