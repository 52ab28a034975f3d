package app

import (
	"context"
	"errors"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/check"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// engines are what a check needs beside the database. A node that runs has them
// open; for a folder at rest they are opened, and nothing runs in them.
type engines struct {
	objects *blob.Files
	flows   *flow.Engine
	close   func() error
}

func (o *operator) engines(ctx context.Context) (engines, error) {
	if o.node != nil {
		return engines{o.node.objects, o.node.flows, func() error { return nil }}, nil
	}
	objects, err := blob.NewFiles(o.folder.objects())
	if err != nil {
		return engines{}, err
	}
	flows, err := flow.Open(ctx, o.flowConfig())
	if err != nil {
		return engines{}, err
	}
	return engines{objects, flows, func() error { return flows.Shutdown(flowsEnd) }}, nil
}

// Check looks for objects and rows that nobody owns: each service tells what it
// keeps, and package check compares.
func (o *operator) Check(ctx context.Context, r admin.CheckRequest, progress func(string)) (out admin.CheckReport, err error) {
	e, err := o.engines(ctx)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	report, err := check.Run(ctx, check.Needs{
		Catalogue: video.New(o.db, e.objects, o.channels,
			func(ctx context.Context) video.URLs { return o.urlsFor(ctx) }, o.log),
		Streams:    streaming.NewKept(o.db, e.objects),
		Objects:    e.objects,
		Processing: postprocess.NewKept(o.db, e.flows),
		Plugins:    pluginmanager.NewKept(o.db, e.flows),
		Keepers:    map[string]check.Keeper{"history": history.New(o.db, nil, o.log)},
		Others:     map[string]check.Keeper{"rules": rules.NewKept(o.db)},
	}, check.Options{Repair: r.Repair, Grace: r.Grace}, progress)
	out = admin.CheckReport{
		Objects: report.Objects, Bytes: report.Bytes, Videos: report.Videos, More: report.More, Left: report.Left(),
		Findings: make([]admin.Finding, len(report.Findings)),
	}
	for i, f := range report.Findings {
		out.Findings[i] = admin.Finding{
			Kind: f.Kind, Video: f.Video, Service: f.Service, Prefix: f.Prefix, Objects: f.Objects, Bytes: f.Bytes,
			What: f.What, Repair: f.Repair, Repaired: f.Repaired, Failed: f.Failed,
		}
	}
	return out, err
}
