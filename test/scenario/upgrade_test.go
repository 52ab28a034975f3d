package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// TestUpgradeInMidFlow: a node of the build before is killed while one video waits
// for its plugin and another one's thumbnail is made. This build goes on with
// both on the same data folder, where they were.
func TestUpgradeInMidFlow(t *testing.T) {
	t.Parallel()
	before := harness.Previous(t)
	n, plugin := startPatient(t)
	hang, began := gatedFFmpeg(t, n)
	now := harness.Binary(t)
	n.Use(before)
	n.Start()
	asked, processed := n.AddUser("asked@example.com", "broadcaster"), n.AddUser("processed@example.com", "broadcaster")
	admin := n.AddUser("admin@example.com", "admin")

	// The first one: all its plugins but one have answered.
	first, second := publish(t, n, asked, 12*time.Second), publish(t, n, processed, 0)
	waiting, processing := liveStream(t, n, asked), liveStream(t, n, processed)
	stop(t, first)
	plugin.wait(t)
	// The second one: its MP4 is made, its thumbnail is not.
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "enough is sent", func() error {
		if second.Sent() < 12*time.Second {
			return fmt.Errorf("%s", second.Sent())
		}
		return nil
	})
	if err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the thumbnail is being made", func() error { _, err := os.Stat(began); return err })
	n.Kill()

	close(plugin.answer)
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	upgraded := time.Now()
	n.Use(now)
	n.Start()
	n.SignIn(asked).WaitVideo(waiting, "valid")
	n.SignIn(processed).WaitVideo(processing, "valid")

	var v struct {
		Title      string `json:"title"`
		Thumbnail  string `json:"thumbnail"`
		Storyboard string `json:"storyboardURL"`
		Playback   string `json:"playbackURL"`
	}
	if err := n.Anonymous().Get("/api/video/"+waiting, &v); err != nil || v.Title != "The title of "+waiting {
		t.Errorf("what the plugin said is lost: %+v, %v", v, err)
	}
	// It had not come to the place of the new step.
	if err := n.Anonymous().Get("/api/video/"+processing, &v); err != nil || v.Thumbnail == "" || v.Storyboard == "" {
		t.Errorf("the pictures are missing: %+v, %v", v, err)
	}
	plays(t, v.Playback)
	for user, id := range map[*harness.User]string{&asked: waiting, &processed: processing} {
		once := map[string]int{}
		for _, e := range n.SignIn(*user).History(id) {
			if once[e.Type+" "+e.Key]++; once[e.Type+" "+e.Key] > 1 {
				t.Errorf("the history of %s tells %s %s twice", id, e.Type, e.Key)
			}
		}
	}
	ended := flowsOf(t, n.SignIn(admin), "life-"+waiting, "post-"+processing)
	for id, f := range ended {
		if f.Attempts < 2 || !f.CreatedAt.Before(upgraded) || !f.EndedAt.After(upgraded) {
			t.Errorf("flow %s is not one that went on: %+v", id, f)
		}
	}
	// What the build before had recorded stayed as it was.
	for id, step := range map[string]string{"life-" + waiting: "postMetadata ask", "post-" + processing: "mp4"} {
		f := ended[id]
		i := slices.IndexFunc(f.Steps, func(s flowStep) bool { return s.Name == step })
		if i < 0 || !f.Steps[i].EndedAt.Before(upgraded) || f.Steps[i].Tries != 0 {
			t.Errorf("step %s of flow %s ran again: %+v", step, id, f.Steps)
		}
	}
}

type flowStep struct {
	Name    string    `json:"name"`
	EndedAt time.Time `json:"endedAt"`
	Tries   int       `json:"tries"`
}

type flowDetail struct {
	Status    string     `json:"status"`
	Attempts  int        `json:"attempts"`
	CreatedAt time.Time  `json:"createdAt"`
	EndedAt   time.Time  `json:"endedAt"`
	Steps     []flowStep `json:"steps"`
}

// flowsOf waits until the flows are done, and returns them.
func flowsOf(t *testing.T, admin *harness.Client, ids ...string) map[string]flowDetail {
	t.Helper()
	all := map[string]flowDetail{}
	for _, id := range ids {
		harness.Eventually(t, id+" is done", func() error {
			var f flowDetail
			if err := admin.Get("/api/flows/"+id, &f); err != nil {
				return err
			}
			if all[id] = f; f.Status != "done" {
				text, _ := json.Marshal(f)
				return fmt.Errorf("%s", text)
			}
			return nil
		})
	}
	return all
}

// gatedFFmpeg gives a node an ffmpeg that hangs for as long as the file hang is
// there, and makes the file began then.
func gatedFFmpeg(t *testing.T, n *harness.Node) (hang, began string) {
	t.Helper()
	real, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hang, began = filepath.Join(dir, "hang"), filepath.Join(dir, "began")
	script := strings.NewReplacer("HANG", hang, "BEGAN", began, "REAL", real).Replace(
		"#!/bin/sh\nwhile [ -e HANG ]; do touch BEGAN; sleep 0.1; done\nexec REAL \"$@\"\n")
	if err := os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	n.Env = append(n.Env, "PATH="+dir+":"+os.Getenv("PATH"))
	return hang, began
}
