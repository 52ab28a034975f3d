package check_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
)

// counting notes what is asked of the object store.
type counting struct {
	*blob.Files
	mu    sync.Mutex
	asked []string
}

func (c *counting) note(what, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, what+" "+key)
}

func (c *counting) Open(ctx context.Context, key string) (*blob.Object, error) {
	c.note("open", key)
	return c.Files.Open(ctx, key)
}

func (c *counting) List(ctx context.Context, prefix string) ([]blob.Info, error) {
	c.note("list", prefix)
	return c.Files.List(ctx, prefix)
}

func (c *counting) Walk(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	c.note("walk", prefix)
	return c.Files.Walk(ctx, prefix, fn)
}

// TestObjectsAreListedOnce: whatever there is, a check walks through the store once,
// and asks again only for what it has not seen.
func TestObjectsAreListedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		objects := &counting{Files: f.objects}
		f.needs.Objects, f.needs.Streams = objects, streaming.NewKept(db, objects)
		for i := range 5 {
			f.video(fmt.Sprintf("st-%d", i), ago)
		}
		f.want(false)
		if want := []string{"walk "}; !slices.Equal(objects.asked, want) {
			t.Errorf("asked for %q, want %q", objects.asked, want)
		}
		objects.asked = nil
		if err := f.objects.Delete(t.Context(), "videos/st-1/thumbnail.jpg", segment("st-2")); err != nil {
			t.Fatal(err)
		}
		f.want(false, "missing-file st-1 videos/st-1/thumbnail.jpg make", "missing-recording st-2 recordings/alice/st-2/")
		slices.Sort(objects.asked)
		list, open := "list recordings/alice/st-2/", "open videos/st-1/thumbnail.jpg"
		if want := []string{list, list, open, open, "walk "}; !slices.Equal(objects.asked, want) {
			t.Errorf("asked for %q, want %q", objects.asked, want)
		}
	})
}
