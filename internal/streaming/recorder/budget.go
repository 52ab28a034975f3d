package recorder

import "sync/atomic"

// How many bytes wait for a store that does not take them, in memory and on
// disk, if nothing else is said.
const (
	DefaultMemory = 32 << 20
	DefaultSpill  = 2 << 30
)

// A recorder begins to spill when memory is filled to spillAt/spillOf, so that
// segments which come while it writes find room.
const spillAt, spillOf = 3, 4

// Budget is how much may wait for the object store. The rungs of a broadcast
// share one.
type Budget struct {
	memory, spill         int64 // limits, bytes
	memoryUsed, spillUsed atomic.Int64
}

// NewBudget returns a budget of so many bytes, DefaultMemory and DefaultSpill
// for 0.
func NewBudget(memory, spill int64) *Budget {
	if memory == 0 {
		memory = DefaultMemory
	}
	if spill == 0 {
		spill = DefaultSpill
	}
	return &Budget{memory: memory, spill: spill}
}

// over says whether more is in memory than may be.
func (b *Budget) over() bool { return b.memoryUsed.Load() > b.memory }

// tight says whether it is time to spill.
func (b *Budget) tight() bool { return b.memoryUsed.Load() > b.memory/spillOf*spillAt }

// spillRoom returns the bytes that may yet be spilled.
func (b *Budget) spillRoom() int64 { return b.spill - b.spillUsed.Load() }
