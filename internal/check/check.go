// Package check looks for what nobody owns, both ways: objects that no row knows,
// rows whose objects are missing, rows of one service about videos that the
// catalogue does not know, deletions that were not finished. On request it mends
// what it finds. It works beside a running node: what is being made just now is
// not a finding.
package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// Catalogue is the video manager.
type Catalogue interface {
	// Entries calls fn with every row, those of deleted videos too.
	Entries(ctx context.Context, fn func(video.Entry) error) error
	// SweepVideo removes the objects of a deleted video.
	SweepVideo(ctx context.Context, videoID string) error
	// Recover makes a private video of a recording that has none.
	Recover(ctx context.Context, videoID, channel string) error
}

// Streams knows the broadcasts and their recordings.
type Streams interface {
	Streams(ctx context.Context, fn func(streaming.Stream)) error
	// Whole returns the length of a recording in ms. Errors: errs.NotFound without
	// any segment.
	Whole(ctx context.Context, channel, stream string) (int64, error)
	// EndAgain says Recording End once more.
	EndAgain(ctx context.Context, channel, stream string) error
	Forget(ctx context.Context, stream string) error
}

// Keeper is a service that keeps something of videos.
type Keeper interface {
	// Videos calls fn with the ids of all videos that something is kept of.
	Videos(ctx context.Context, fn func(videoID string)) error
	// Forget removes that. It may run again.
	Forget(ctx context.Context, videoID string) error
}

// Worker is a keeper whose work on a video can begin anew.
type Worker interface {
	Keeper
	// Renew removes what is kept of a video so that it may be worked on from its
	// beginning.
	Renew(ctx context.Context, videoID string) error
}

// Processing is post-processing.
type Processing interface {
	Worker
	// Has says whether there is a job for the video.
	Has(ctx context.Context, videoID string) (bool, error)
	// Again lets its files be made anew; false when the job is not at its end.
	Again(ctx context.Context, videoID string) (bool, error)
}

// Objects is the object store.
type Objects interface {
	blob.Store
	// Walk calls fn with all objects whose keys begin with prefix, in any order.
	Walk(ctx context.Context, prefix string, fn func(blob.Info) error) error
}

// Needs is what a check looks at.
type Needs struct {
	Catalogue  Catalogue
	Streams    Streams
	Objects    Objects
	Processing Processing
	Plugins    Worker
	// Keepers are all others that keep something of videos alone, by their names.
	Keepers map[string]Keeper
	// Others keep something of videos and of much else: of them only what is left
	// of deleted videos is found.
	Others map[string]Keeper
}

// Options say how is checked.
type Options struct {
	// Repair mends what can be mended.
	Repair bool
	// Grace is the age below which something counts as being made; 1 hour when zero.
	Grace time.Duration
	// Settle is how long a finding is given to be explained by what is on its way;
	// 2 s when zero.
	Settle time.Duration
}

// The kinds of findings.
const (
	OrphanObjects      = "orphan-objects"      // files of a video that nobody knows
	OrphanRecording    = "orphan-recording"    // a recording that has no video
	DeletedObjects     = "deleted-objects"     // files of a deleted video
	UnknownObjects     = "unknown-objects"     // in a place that nobody uses
	MissingRecording   = "missing-recording"   // a video whose segments are gone
	MissingFile        = "missing-file"        // a video whose MP4, thumbnail or storyboard is gone
	MissingJob         = "missing-job"         // a video in processing that nobody processes
	OrphanRows         = "orphan-rows"         // of a service, about a video that nobody knows
	UnfinishedDeletion = "unfinished-deletion" // of a video
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Kind    string `json:"kind"`
	Video   string `json:"video,omitempty"`
	Service string `json:"service,omitempty"` // of rows
	Prefix  string `json:"prefix,omitempty"`  // of objects, or the key of the one that is missing
	Objects int    `json:"objects,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	What    string `json:"what"`             // a sentence
	Repair  string `json:"repair,omitempty"` // what mends it; empty: nothing here does

	Repaired bool   `json:"repaired,omitempty"`
	Failed   string `json:"failed,omitempty"` // why it is not repaired

	mend func(ctx context.Context) error
}

// Report is what a check came to.
type Report struct {
	Objects  int       `json:"objects"` // looked at
	Bytes    int64     `json:"bytes"`
	Videos   int       `json:"videos"`
	Findings []Finding `json:"findings"`
	// More findings are not listed.
	More int `json:"more,omitempty"`
}

// mostFindings is how many are listed, and mended, at a time.
const mostFindings = 10_000

// Left is how many findings there are that are not repaired.
func (r Report) Left() int {
	left := r.More
	for _, f := range r.Findings {
		if !f.Repaired {
			left++
		}
	}
	return left
}

// Run checks and, if asked for, repairs. progress, which may be nil, hears what is
// being looked at.
func Run(ctx context.Context, n Needs, o Options, progress func(what string)) (Report, error) {
	if o.Grace <= 0 {
		o.Grace = time.Hour
	}
	if o.Settle <= 0 {
		o.Settle = 2 * time.Second
	}
	if progress == nil {
		progress = func(string) {}
	}
	c := &checker{needs: n, before: time.Now().Add(-o.Grace), progress: progress}
	report, err := c.find(ctx, o.Settle)
	if err != nil || !o.Repair {
		return report, err
	}
	for i := range report.Findings {
		f := &report.Findings[i]
		if f.mend == nil {
			continue
		}
		progress(fmt.Sprintf("repairing %d of %d", i+1, len(report.Findings)))
		switch err := f.mend(ctx); {
		case ctx.Err() != nil:
			return report, ctx.Err()
		case err != nil:
			f.Failed = err.Error()
		default:
			f.Repaired = true
		}
	}
	return report, nil
}

// checker is one check.
type checker struct {
	needs    Needs
	before   time.Time // what is younger is being made
	progress func(string)

	groups  map[string]*group // objects by their prefix
	kept    map[string][]string
	videos  map[string]video.Entry
	streams map[string]streaming.Stream

	found []Finding
}

// find reads all that there is and compares it. What comes first is read first
// where the other is its owner: what is made in between has its owner by then.
func (c *checker) find(ctx context.Context, settle time.Duration) (Report, error) {
	var report Report
	if err := c.walk(ctx, &report); err != nil {
		return report, err
	}
	if err := c.readKept(ctx); err != nil {
		return report, err
	}
	if err := c.readOwners(ctx); err != nil {
		return report, err
	}
	if err := c.compare(ctx); err != nil {
		return report, err
	}
	if len(c.found) > 0 {
		// Events may be on their way that explain it: what is not found a second
		// time is none.
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return report, ctx.Err()
		}
		if err := c.readOwners(ctx); err != nil {
			return report, err
		}
		if err := c.compare(ctx); err != nil {
			return report, err
		}
	}
	report.Videos = len(c.videos)
	slices.SortFunc(c.found, func(a, b Finding) int {
		return strings.Compare(a.Kind+" "+a.Video+" "+a.Service+" "+a.Prefix, b.Kind+" "+b.Video+" "+b.Service+" "+b.Prefix)
	})
	report.Findings = c.found
	if len(c.found) > mostFindings {
		report.Findings, report.More = c.found[:mostFindings], len(c.found)-mostFindings
	}
	if report.Findings == nil {
		report.Findings = []Finding{}
	}
	return report, nil
}

func (c *checker) compare(ctx context.Context) error {
	c.found = nil
	if err := c.checkObjects(ctx); err != nil {
		return err
	}
	if err := c.checkVideos(ctx); err != nil {
		return err
	}
	c.checkRows()
	return ctx.Err()
}

func (c *checker) add(f Finding) { c.found = append(c.found, f) }

// readOwners reads the catalogue and the streams.
func (c *checker) readOwners(ctx context.Context) error {
	c.progress("reading the catalogue")
	c.videos, c.streams = map[string]video.Entry{}, map[string]streaming.Stream{}
	if err := c.needs.Streams.Streams(ctx, func(s streaming.Stream) { c.streams[s.ID] = s }); err != nil {
		return err
	}
	return c.needs.Catalogue.Entries(ctx, func(e video.Entry) error {
		c.videos[e.ID] = e
		return nil
	})
}

// readKept reads of which videos the services keep something.
func (c *checker) readKept(ctx context.Context) error {
	c.kept = map[string][]string{}
	for name, keeper := range c.all() {
		c.progress("reading what " + name + " keeps")
		seen := map[string]struct{}{}
		err := keeper.Videos(ctx, func(videoID string) {
			if _, ok := seen[videoID]; !ok {
				seen[videoID] = struct{}{}
				c.kept[name] = append(c.kept[name], videoID)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// all returns all keepers by name.
func (c *checker) all() map[string]Keeper {
	all := map[string]Keeper{"post-processing": c.needs.Processing, "plugins": c.needs.Plugins}
	for name, k := range c.needs.Keepers {
		all[name] = k
	}
	for name, k := range c.needs.Others {
		all[name] = k
	}
	return all
}
