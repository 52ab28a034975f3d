//go:build !linux

package rtmp

import (
	"net"
	"time"
)

// roundTrip is not known here.
func roundTrip(net.Conn) time.Duration { return 0 }
