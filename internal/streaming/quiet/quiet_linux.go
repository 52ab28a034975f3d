//go:build !386 && !s390x

package quiet

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

// socket does one non-blocking system call at a time. It waits as package net
// does, with its deadlines and its errors.
type socket struct {
	raw  syscall.RawConn
	b    []byte
	n    int
	errn syscall.Errno
	once func(fd uintptr) bool // a method value, made once rather than at each call
}

// wait calls once until it has something, and forgets the buffer.
func (s *socket) wait(b []byte, name string) (int, error) {
	s.b, s.n, s.errn = b, 0, 0
	err := s.raw.Read(s.once)
	s.b = nil
	if err == nil && s.errn != 0 {
		err = os.NewSyscallError(name, s.errn)
	}
	return s.n, err
}

// took keeps a call's result; false when there is nothing to read yet.
func (s *socket) took(n uintptr, e syscall.Errno) bool {
	if e == syscall.EAGAIN {
		return false
	}
	s.n, s.errn = 0, e
	if e == 0 {
		s.n = int(n)
	}
	return true
}

// Reader returns what reads from conn, for one goroutine at a time. Connections
// that are no TCP connections, such as those of TLS, are returned as they are.
func Reader(conn net.Conn) io.Reader {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return conn
	}
	r := &reader{socket{raw: raw}}
	r.once = r.read
	return r
}

type reader struct{ socket }

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := r.wait(b, "read")
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (r *reader) read(fd uintptr) bool {
	for {
		n, _, e := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&r.b[0])), uintptr(len(r.b)))
		if e != syscall.EINTR {
			return r.took(n, e)
		}
	}
}

// Packets receives from a UDP socket and sends through it.
type Packets struct {
	socket
	from   syscall.RawSockaddrAny
	length uint32 // of from

	conn  *net.UDPConn
	six   bool // it is an IPv6 socket, which writes IPv4 addresses its own way
	sends sync.Pool
}

// NewPackets returns what receives from c.
func NewPackets(c *net.UDPConn) (*Packets, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &Packets{socket: socket{raw: raw}, conn: c}
	p.once = p.receive
	p.sends.New = func() any { return newSend() }
	var failed error
	if err := raw.Control(func(fd uintptr) {
		var local syscall.Sockaddr
		local, failed = syscall.Getsockname(int(fd))
		_, p.six = local.(*syscall.SockaddrInet6)
	}); err != nil {
		return nil, err
	}
	return p, failed
}

// Receive waits for a packet; what does not fit into b is lost. One goroutine may
// call it at a time.
func (p *Packets) Receive(b []byte) (int, netip.AddrPort, error) {
	if len(b) == 0 {
		return 0, netip.AddrPort{}, io.ErrShortBuffer
	}
	n, err := p.wait(b, "recvfrom")
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	return n, p.sender(), nil
}

func (p *Packets) receive(fd uintptr) bool {
	for {
		p.length = syscall.SizeofSockaddrAny
		n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p.b[0])), uintptr(len(p.b)), 0,
			uintptr(unsafe.Pointer(&p.from)), uintptr(unsafe.Pointer(&p.length)))
		if e != syscall.EINTR {
			return p.took(n, e)
		}
	}
}

// sender is who sent the last packet.
func (p *Packets) sender() netip.AddrPort {
	switch p.from.Addr.Family {
	case syscall.AF_INET:
		a := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&p.from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), port(&a.Port))
	case syscall.AF_INET6:
		a := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&p.from))
		return netip.AddrPortFrom(zoned(netip.AddrFrom16(a.Addr), a.Scope_id), port(&a.Port))
	}
	return netip.AddrPort{}
}

// zoned gives an address of one link the number of its interface as its zone.
func zoned(a netip.Addr, scope uint32) netip.Addr {
	if scope == 0 {
		return a
	}
	return a.WithZone(strconv.FormatUint(uint64(scope), 10))
}

// port reads a port, which is in network byte order.
func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// send is one system call that sends.
type send struct {
	header syscall.Msghdr
	vector syscall.Iovec
	four   syscall.RawSockaddrInet4
	six    syscall.RawSockaddrInet6
	errn   syscall.Errno
	once   func(fd uintptr)
}

func newSend() *send {
	s := &send{}
	s.header.Iov, s.header.Iovlen = &s.vector, 1
	s.once = func(fd uintptr) {
		for {
			_, _, s.errn = syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&s.header)), 0)
			if s.errn != syscall.EINTR {
				return
			}
		}
	}
	return s
}

// Send sends data, with control for the kernel (cmsg(3)) where it is not empty.
// Any number of goroutines may call it. Where the socket's buffer is full it
// waits, as package net does.
func (p *Packets) Send(data, control []byte, to netip.AddrPort) error {
	if a := to.Addr(); len(data) == 0 || a.Zone() != "" || !a.IsValid() || !p.six && !a.Unmap().Is4() {
		return p.sendSlowly(data, control, to) // it knows zones, and what is wrong with the rest
	}
	s := p.sends.Get().(*send)
	s.address(to, p.six)
	s.vector.Base = &data[0]
	s.vector.SetLen(len(data))
	s.header.Control, s.header.Controllen = nil, 0
	if len(control) > 0 {
		s.header.Control = &control[0]
		s.header.SetControllen(len(control))
	}
	err := p.raw.Control(s.once)
	errn := s.errn
	s.vector.Base, s.header.Control = nil, nil
	p.sends.Put(s)
	switch {
	case err != nil:
		return err
	case errn == syscall.EAGAIN:
		return p.sendSlowly(data, control, to)
	case errn != 0:
		return os.NewSyscallError("sendmsg", errn)
	}
	return nil
}

// sendSlowly sends as package net does.
func (p *Packets) sendSlowly(data, control []byte, to netip.AddrPort) error {
	_, _, err := p.conn.WriteMsgUDPAddrPort(data, control, to)
	return err
}

// address says where to.
func (s *send) address(to netip.AddrPort, six bool) {
	if six {
		s.six = syscall.RawSockaddrInet6{Family: syscall.AF_INET6, Addr: to.Addr().As16()}
		setPort(&s.six.Port, to.Port())
		s.header.Name, s.header.Namelen = (*byte)(unsafe.Pointer(&s.six)), syscall.SizeofSockaddrInet6
		return
	}
	s.four = syscall.RawSockaddrInet4{Family: syscall.AF_INET, Addr: to.Addr().Unmap().As4()}
	setPort(&s.four.Port, to.Port())
	s.header.Name, s.header.Namelen = (*byte)(unsafe.Pointer(&s.four)), syscall.SizeofSockaddrInet4
}

func setPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}
