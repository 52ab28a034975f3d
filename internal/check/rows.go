package check

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// checkVideos finds videos that are not whole, and deletions that are not finished.
func (c *checker) checkVideos(ctx context.Context) error {
	for _, e := range c.videos {
		switch {
		case e.DeletedAt > 0:
			if !e.Swept && e.DeletedAt < c.before.UnixMilli() {
				c.add(Finding{
					Kind: UnfinishedDeletion, Video: e.ID, What: "The video was deleted, its objects were not yet.",
					Repair: "delete the objects",
					mend:   func(ctx context.Context) error { return c.needs.Catalogue.SweepVideo(ctx, e.ID) },
				})
			}
		case event.Simulated(e.ID): // its recording is another's, and its run looks after it
		case e.Recorded && e.CreatedAt < c.before.UnixMilli():
			if err := c.checkVideo(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) checkVideo(ctx context.Context, e video.Entry) error {
	whole := true
	if err := c.whole(ctx, e.Channel, e.ID); err != nil {
		if errs.CodeOf(err) != errs.NotFound {
			return err
		}
		whole = false
		c.add(Finding{
			Kind: MissingRecording, Video: e.ID, Prefix: e.Prefix + "/",
			What: "The recording's segments are gone: the video plays as MP4 at most. Restore them from a backup, or delete the video.",
		})
	}
	for _, key := range []string{e.MP4, e.Thumbnail, e.Storyboard} {
		missing, err := c.missing(ctx, key)
		if err != nil {
			return err
		}
		if !missing {
			continue
		}
		f := Finding{Kind: MissingFile, Video: e.ID, Prefix: key, What: "The video says that it has this file, and it is gone."}
		if whole {
			f.Repair, f.mend = "make the files of the video anew", c.process(e)
		}
		c.add(f)
		break // the others are made along with it
	}
	if e.Processed || !e.Working {
		return nil
	}
	has, err := c.needs.Processing.Has(ctx, e.ID)
	if err == nil && !has {
		f := Finding{Kind: MissingJob, Video: e.ID, What: "The video waits for its MP4, and nobody makes it."}
		if whole {
			f.Repair, f.mend = "process it: say Recording End anew", c.process(e)
		}
		c.add(f)
	}
	return err
}

// process lets the files of a video be made (again).
func (c *checker) process(e video.Entry) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		has, err := c.needs.Processing.Has(ctx, e.ID)
		if err != nil {
			return err
		}
		if !has {
			return c.beginAnew(ctx, e.Channel, e.ID, c.needs.Processing)
		}
		_, err = c.needs.Processing.Again(ctx, e.ID) // else it is being made
		return err
	}
}

// checkRows finds what services keep of videos that nobody knows.
func (c *checker) checkRows() {
	all := c.all()
	recovered := map[string]bool{} // with what is kept of them
	for _, f := range c.found {
		recovered[f.Video] = recovered[f.Video] || f.Kind == OrphanRecording
	}
	for name, ids := range c.kept {
		_, other := c.needs.Others[name]
		for _, videoID := range ids {
			entry, listed := c.videos[videoID]
			stream, streamed := c.streams[videoID]
			what := "The catalogue knows no such video."
			switch {
			case listed && entry.DeletedAt > c.before.UnixMilli(), listed && entry.DeletedAt == 0:
				continue
			case listed:
				what = "The video was deleted."
			case streamed && stream.Deleted && !other:
				what = "The video was deleted."
			case streamed || other || recovered[videoID]:
				continue // not a video yet, or it never became one, or it becomes one
			}
			c.add(Finding{
				Kind: OrphanRows, Video: videoID, Service: name, What: what, Repair: "delete the rows",
				mend: func(ctx context.Context) error { return all[name].Forget(ctx, videoID) },
			})
		}
	}
	for _, s := range c.streams {
		if entry, listed := c.videos[s.ID]; listed && entry.DeletedAt > 0 && entry.DeletedAt < c.before.UnixMilli() {
			c.add(Finding{
				Kind: OrphanRows, Video: s.ID, Service: "streaming", What: "The video was deleted.", Repair: "delete the row",
				mend: func(ctx context.Context) error { return c.needs.Streams.Forget(ctx, s.ID) },
			})
		}
	}
}
