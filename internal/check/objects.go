package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// group is all objects below one prefix.
type group struct {
	prefix         string // with a slash at its end
	video, channel string // whose it is by its place; the channel of recordings alone
	objects        int
	bytes          int64
	newest         time.Time
	segment        bool     // one of a recording is there
	files          []string // of a video, those directly below the prefix
}

// note remembers of an object what comparing asks for, so that nothing is listed
// or opened a second time where all is well.
func (g *group) note(o blob.Info) {
	g.objects++
	g.bytes += o.Size
	if o.ModTime.After(g.newest) {
		g.newest = o.ModTime
	}
	rest := strings.TrimPrefix(o.Key, g.prefix)
	switch {
	case g.channel != "":
		g.segment = g.segment || recorder.IsSegment(rest)
	case g.video != "" && !strings.Contains(rest, "/"):
		g.files = append(g.files, rest)
	}
}

// groupOf says by an object's key to which group it belongs: recordings lie below
// recordings/{channel}/{stream}/, what is made of them, also by plugins, below
// videos/{video}/. All else is grouped by the first part of its key.
func groupOf(key string) group {
	parts := strings.SplitN(key, "/", 4)
	switch {
	case parts[0] == "videos" && len(parts) > 2 && isID(parts[1]):
		return group{prefix: path.Join(parts[:2]...) + "/", video: parts[1]}
	case parts[0] == "recordings" && len(parts) > 3 && isID(parts[1]) && isID(parts[2]):
		return group{prefix: path.Join(parts[:3]...) + "/", video: parts[2], channel: parts[1]}
	case len(parts) > 1:
		return group{prefix: parts[0] + "/"}
	}
	return group{prefix: key}
}

func isID(s string) bool { return s != "" && len(s) <= 128 && event.Token(s) == s }

// walk groups all objects.
func (c *checker) walk(ctx context.Context, report *Report) error {
	c.groups = map[string]*group{}
	return c.needs.Objects.Walk(ctx, "", func(o blob.Info) error {
		g := groupOf(o.Key)
		known := c.groups[g.prefix]
		if known == nil {
			known = &g
			c.groups[g.prefix] = known
		}
		known.note(o)
		report.Objects++
		report.Bytes += o.Size
		if report.Objects%10_000 == 0 {
			c.progress(fmt.Sprintf("%d objects looked at", report.Objects))
		}
		return nil
	})
}

// whole returns nil when there is a segment of a recording. Where the walk has seen
// none, it is looked for once more. Errors: errs.NotFound without any.
func (c *checker) whole(ctx context.Context, channel, stream string) error {
	if g := c.groups[recorder.Prefix(channel, stream)+"/"]; g != nil && g.segment {
		return nil
	}
	_, err := c.needs.Streams.Whole(ctx, channel, stream)
	return err
}

// missing says whether an object that should be there is not: neither was when all
// were looked at, nor is now.
func (c *checker) missing(ctx context.Context, key string) (bool, error) {
	if key == "" {
		return false, nil
	}
	g := groupOf(key)
	if known := c.groups[g.prefix]; known != nil && slices.Contains(known.files, strings.TrimPrefix(key, g.prefix)) {
		return false, nil
	}
	o, err := c.needs.Objects.Open(ctx, key)
	switch {
	case errs.CodeOf(err) == errs.NotFound:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("looking for %s: %w", key, err)
	}
	return false, o.Close()
}

// checkObjects finds objects without an owner.
func (c *checker) checkObjects(ctx context.Context) error {
	for _, g := range c.groups {
		if g.newest.After(c.before) {
			continue // perhaps it is being made
		}
		f := Finding{Video: g.video, Prefix: g.prefix, Objects: g.objects, Bytes: g.bytes}
		entry, listed := c.videos[g.video]
		stream, streamed := c.streams[g.video]
		switch {
		case g.video == "":
			f.Kind, f.What = UnknownObjects, "Nobody keeps objects in this place. They are left alone: look at them, and remove them by hand."
		case listed && entry.DeletedAt > 0:
			if entry.DeletedAt > c.before.UnixMilli() || !entry.Swept {
				continue // it is being deleted, or an unfinished deletion
			}
			f.Kind, f.What = DeletedObjects, "These are left of a video that was deleted."
			f.Repair, f.mend = "delete the objects", c.deleteAll(g.prefix)
		case streamed && stream.Deleted:
			f.Kind, f.What = DeletedObjects, "These are left of a video that was deleted."
			f.Repair, f.mend = "delete the objects", c.deleteAll(g.prefix)
		case listed && (entry.Recorded || g.channel == ""):
			continue
		case g.channel == "":
			if streamed {
				continue // its video comes with its recording's end
			}
			f.Kind, f.What = OrphanObjects, "No video of this id is known."
			f.Repair, f.mend = "delete the objects", c.deleteAll(g.prefix)
		case streamed && !stream.Over:
			continue // live, or its recording is being stored
		default:
			var err error
			if f, err = c.lostRecording(ctx, f, *g); err != nil {
				return err
			}
		}
		c.add(f)
	}
	return nil
}

// lostRecording is a recording that the catalogue does not have. It may be whole,
// so it is never deleted: it becomes a video, for its owner to publish. Errors:
// that it cannot be looked at, which says nothing of it.
func (c *checker) lostRecording(ctx context.Context, f Finding, g group) (Finding, error) {
	err := c.whole(ctx, g.channel, g.video)
	switch {
	case errs.CodeOf(err) == errs.NotFound:
		f.Kind, f.What = OrphanObjects, "No video of this id is known, and without a segment it cannot become one."
		f.Repair, f.mend = "delete the objects", c.deleteWithoutSegments(g)
		return f, nil
	case err != nil:
		return f, err
	}
	f.Kind, f.What = OrphanRecording, "This recording has no video."
	f.Repair = "recover it as a private video: say Recording End anew"
	f.mend = func(ctx context.Context) error {
		if err := c.needs.Catalogue.Recover(ctx, g.video, g.channel); err != nil {
			return err
		}
		return c.beginAnew(ctx, g.channel, g.video, c.needs.Processing, c.needs.Plugins)
	}
	return f, nil
}

// deleteWithoutSegments deletes what lies where a recording would, unless there
// are segments of one now.
func (c *checker) deleteWithoutSegments(g group) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.needs.Streams.Whole(ctx, g.channel, g.video)
		switch {
		case err == nil:
			return errs.New(errs.Conflict, "there are segments now")
		case errs.CodeOf(err) != errs.NotFound:
			return err
		}
		return c.deleteAll(g.prefix)(ctx)
	}
}

// beginAnew says Recording End once more, when what services keep of an earlier
// time is forgotten: they would take it for done.
func (c *checker) beginAnew(ctx context.Context, channel, stream string, workers ...Worker) error {
	if _, err := c.needs.Streams.Whole(ctx, channel, stream); err != nil {
		return err
	}
	for _, w := range workers {
		if err := w.Renew(ctx, stream); err != nil {
			return err
		}
	}
	return c.needs.Streams.EndAgain(ctx, channel, stream)
}

// deleteAll deletes what lies below a prefix.
func (c *checker) deleteAll(prefix string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		objects, err := c.needs.Objects.List(ctx, prefix)
		if err != nil {
			return err
		}
		keys := make([]string, len(objects))
		for i, o := range objects {
			keys[i] = o.Key
		}
		return c.needs.Objects.Delete(ctx, keys...)
	}
}
