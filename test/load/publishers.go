package main

import (
	"context"
	"encoding/gob"
	"errors"
	"os"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// publishers is a child's work that measures nothing.
type publishers struct {
	stops []func() error
}

func (*publishers) begin() {}

func (*publishers) end() tally { return tally{} }

func (p *publishers) close() error {
	var err error
	for _, stop := range p.stops {
		err = errors.Join(err, stop())
	}
	return err
}

// publishWHIP publishes the clip at every endpoint, with stamps.
func publishWHIP(ctx context.Context, o order) (worker, error) {
	var clip streamtest.Clip
	if err := loadClip(o.Clip, &clip); err != nil {
		return nil, err
	}
	var all publishers
	for i, endpoint := range o.Endpoints {
		p, err := streamtest.Publish(ctx, endpoint, o.Keys[i], streamtest.Options{Clips: []*streamtest.Clip{&clip}, Stamp: true})
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		all.stops = append(all.stops, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), childStop/2)
			defer cancel()
			return p.Stop(ctx)
		})
		apart(ctx, i)
	}
	return &all, nil
}

// publishRTMP publishes the clip at every endpoint.
func publishRTMP(ctx context.Context, o order) (worker, error) {
	var clip rtmptest.Clip
	if err := loadClip(o.Clip, &clip); err != nil {
		return nil, err
	}
	var all publishers
	for i, endpoint := range o.Endpoints {
		p, err := rtmptest.Publish(ctx, endpoint+"/"+o.Keys[i], rtmptest.Options{Clips: []*rtmptest.Clip{&clip}})
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		all.stops = append(all.stops, p.Stop)
		apart(ctx, i)
	}
	return &all, nil
}

// apart keeps the key frames of publishers from coming all at once, as they do
// not with people.
func apart(ctx context.Context, i int) {
	_ = pause(ctx, time.Duration(50+i*37%100)*time.Millisecond)
}

// saveClip keeps a clip for children.
func saveClip(path string, clip any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(gob.NewEncoder(f).Encode(clip), f.Close())
}

func loadClip(path string, clip any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(gob.NewDecoder(f).Decode(clip), f.Close())
}
