package postprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

type mp4Result struct {
	Media
	Size int64 // bytes
}

// filesPrefix is where the files made of a video lie in the object store.
func filesPrefix(jobID string) string  { return "videos/" + jobID + "/" }
func mp4Key(jobID string) string       { return filesPrefix(jobID) + "video.mp4" }
func thumbnailKey(jobID string) string { return filesPrefix(jobID) + "thumbnail.jpg" }

// localMP4 is where the file stays after it is stored, until its pictures are
// made or the run of the flow ends. It may be gone: then it is fetched.
func (s *Service) localMP4(jobID string) string {
	return filepath.Join(s.cfg.WorkDir, jobID+".mp4")
}

// makeMP4 writes the recording as one MP4 and stores it.
func (s *Service) makeMP4(ctx context.Context, j Job) (mp4Result, error) {
	release, err := s.queues.slot(ctx, j)
	if err != nil {
		return mp4Result{}, err
	}
	defer release()
	s.tracker.at(j, stepMP4, 0)
	var media Media
	path := s.localMP4(j.ID)
	err = s.writeFile(path, func(f *os.File) error {
		dog := watch(ctx, s.cfg.RemuxStall)
		defer dog.stop()
		var err error
		media, err = s.remuxer.Remux(dog.ctx, j.Prefix, f, func(done, total int64) {
			dog.alive()
			s.tracker.at(j, stepMP4, float64(done)/float64(max(1, total)))
		})
		return coded(dog.judge(err, "reading the recording"), "the recording cannot be read")
	})
	if err != nil {
		return mp4Result{}, err
	}
	failpoint.Pass("mp4.made")
	size, err := s.put(ctx, mp4Key(j.ID), path)
	failpoint.Pass("mp4.stored")
	if err != nil {
		return mp4Result{}, errors.Join(err, os.Remove(path))
	}
	return mp4Result{Media: media, Size: size}, nil
}

// writeFile fills a new file under a name of its own and then gives it path: a
// second run of the same step never sees half of it. An uncoded error of fill
// is one of writing.
func (s *Service) writeFile(path string, fill func(f *os.File) error) error {
	f, err := os.CreateTemp(s.cfg.WorkDir, "part-*")
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "the server cannot write to its work folder")
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }() // of no effect after the rename
	if err := fill(f); err != nil {
		return coded(err, "the server cannot write to its work folder")
	}
	err = errors.Join(f.Close(), os.Rename(f.Name(), path))
	return errs.Wrap(err, errs.Unavailable, "the server cannot write to its work folder")
}

// put stores a local file and returns its size in bytes.
func (s *Service) put(ctx context.Context, key, path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := s.objects.Put(ctx, key, f, info.Size()); err != nil {
		return 0, coded(err, "the file cannot be stored")
	}
	return info.Size(), nil
}

// putBytes stores a small file.
func (s *Service) putBytes(ctx context.Context, key string, data []byte) error {
	return coded(s.objects.Put(ctx, key, bytes.NewReader(data), int64(len(data))), "the file cannot be stored")
}

// begin waits until this node may work on a step that takes pictures, and returns
// the MP4 that they are taken from. The caller releases the slot.
func (s *Service) begin(ctx context.Context, j Job, step string) (video string, release func(), err error) {
	release, err = s.queues.slot(ctx, j)
	if err != nil {
		return "", nil, err
	}
	s.tracker.at(j, step, 0)
	if video, err = s.fetch(ctx, j); err != nil {
		release()
		return "", nil, err
	}
	return video, release, nil
}

// fetch gets the stored MP4 back into the work folder when it is not there.
func (s *Service) fetch(ctx context.Context, j Job) (string, error) {
	path := s.localMP4(j.ID)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	object, err := s.objects.Open(ctx, mp4Key(j.ID))
	if err != nil {
		return "", fmt.Errorf("opening the MP4: %w", err)
	}
	defer object.Close()
	return path, s.writeFile(path, func(f *os.File) error {
		_, err := io.Copy(f, readerOf(ctx, object))
		return err
	})
}

// coded gives an error without a code one that is tried again, and words for
// the broadcaster.
func coded(err error, message string) error {
	var e *errs.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return errs.Wrap(err, errs.Unavailable, message)
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// readerOf is r until ctx is done.
func readerOf(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// forget ends what a run of the flow kept in this process and its work folder.
// Nothing hangs on it: a run that goes on elsewhere fetches what it needs.
func (s *Service) forget(jobID string) {
	s.tracker.forget(jobID)
	if err := os.Remove(s.localMP4(jobID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("post-processing: a local file stays until the next start", "video", jobID, "err", err)
	}
}
