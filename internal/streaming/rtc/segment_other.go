//go:build !linux

package rtc

import (
	"errors"
	"net"
	"net/netip"
)

func segmentation(*net.UDPConn) bool { return false }

func (s *socket) writeSegments([]byte, int, netip.AddrPort) error {
	return errors.ErrUnsupported
}

func noSegmentation(error) bool { return true }
