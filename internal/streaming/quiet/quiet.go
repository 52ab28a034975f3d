// Package quiet reads from and sends to sockets without telling Go's scheduler
// of the system calls. The sockets are non-blocking, so the calls cannot block
// and the scheduler has nothing to do about them; but each that it hears of wakes
// its monitor thread, which then naps in steps of 20 microseconds. Where media
// comes packet by packet, that was a quarter of all that a stream cost
// (docs/performance.md).
//
// Deadlines, closing and errors are as with package net. Where the system is not
// Linux, its methods do the work.
package quiet
