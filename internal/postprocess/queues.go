package postprocess

import (
	"context"
	"time"
)

// Where a recording is worked on, as MP4ProcessingComplete's compute says it.
const (
	computeLocal  = "local"
	computeWorker = "worker"
)

// longest is the length up to which a recording is worked on at once. The
// original chose between a function and a container by the same one.
const longest = 15 * time.Minute

// compute says where the job runs: its length decides, and nothing else, so that
// the answer is the same whenever and wherever it is asked.
func (j Job) compute() string {
	if j.DurationMillis > longest.Milliseconds() {
		return computeWorker
	}
	return computeLocal
}

// queues hold one value for each recording that is worked on. A recording of
// hours must not keep the short ones waiting, so each kind has its own.
//
// Nodes have no roles yet: every node has both queues, and works on the flows
// that it started. When there are nodes with the role "worker", the flow of a
// job whose compute is "worker" goes into a queue of the flows' database that
// these nodes alone draw from, and a node without the role has no second queue
// here. Jobs, steps and events stay as they are; the local MP4 between two steps
// may then be on another node, for which fetch is there already.
type queues struct{ local, worker chan struct{} }

func newQueues(local, workers int) queues {
	return queues{make(chan struct{}, local), make(chan struct{}, workers)}
}

// slot waits until this node may work on the job. Who waits longest comes first.
func (q queues) slot(ctx context.Context, j Job) (release func(), err error) {
	slots := q.local
	if j.compute() == computeWorker {
		slots = q.worker
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
