package rtc

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"
)

// Of linux/udp.h.
const (
	solUDP     = 17
	udpSegment = 103
)

// segmentation says whether the kernel takes packets apart (since Linux 4.18).
func segmentation(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		_, failed = syscall.GetsockoptInt(int(fd), solUDP, udpSegment)
	})
	return err == nil && failed == nil
}

// writeSegments sends packets of one size that lie one after the other; the
// last may be shorter.
func (s *socket) writeSegments(data []byte, size int, to netip.AddrPort) error {
	var space [4]uint64 // of them aligned as the kernel wants it
	control := unsafe.Slice((*byte)(unsafe.Pointer(&space[0])), syscall.CmsgSpace(2))
	h := (*syscall.Cmsghdr)(unsafe.Pointer(&space[0]))
	h.Level, h.Type = solUDP, udpSegment
	h.SetLen(syscall.CmsgLen(2))
	binary.NativeEndian.PutUint16(control[syscall.CmsgLen(0):], uint16(size))
	return s.packets.Send(data, control, to)
}

// noSegmentation tells a network card that cannot compute checksums, or a kernel
// that refuses the option, from errors of one send.
func noSegmentation(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP)
}
