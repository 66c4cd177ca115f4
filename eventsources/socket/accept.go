package socket

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
)

// connections counts those of a socket that are accepted here.
type connections struct {
	untaken  int // sent to init, and no instance has come for them
	emitting int // events that are not over
}

// taken is called when a job has one more instance.
func (c *connections) taken() { c.untaken = max(0, c.untaken-1) }

// noRoom is how long to wait for descriptors.
const noRoom = time.Second

// accept takes connections, as many as may be. The caller has the lock.
func (r *run) accept(s *socket) {
	for r.instances(s)+s.conns.untaken < s.maxConn {
		fd, from, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
		switch {
		case err == unix.EAGAIN:
			r.arm(s)
			return
		case err == unix.EINTR || err == unix.ECONNABORTED:
			continue
		case err != nil:
			r.complain(s, errors.New("cannot accept a connection: "+err.Error()))
			r.armLater(s, noRoom)
			return
		}
		s.conns.untaken++
		s.conns.emitting++
		r.number++
		conn := os.NewFile(uintptr(fd), s.address())
		e := eventsources.Event{Name: "socket", Env: s.connectionEnv(fd, from, r.number), File: conn}
		if err := r.init.EmitThen(e, func(err error) { r.handedOver(s, err) }); err != nil {
			s.conns.untaken--
			s.conns.emitting--
			r.complain(s, err)
		}
		conn.Close()
	}
	s.state = full
}

// handedOver looks what the event of a connection has led to.
func (r *run) handedOver(s *socket, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.conns.emitting--; s.conns.emitting > 0 || r.ctx.Err() != nil {
		return
	}
	if s.conns.untaken > 0 {
		if err == nil {
			err = errors.New("no instance came for a connection; does the job have a line \"instance $CONNECTION\"?")
		}
		r.complain(s, err)
		s.conns.untaken = 0
	}
	if s.state == full && r.byFD[s.fd] == s {
		r.arm(s)
	}
}

// connectionEnv is the environment of the event of a connection.
func (s *socket) connectionEnv(fd int, from unix.Sockaddr, number int64) []string {
	env := s.env[:len(s.env):len(s.env)]
	switch a := from.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6:
		at := addrPort(a)
		env = append(env, "REMOTE_ADDR="+at.Addr().String(), "REMOTE_PORT="+strconv.Itoa(int(at.Port())))
	case *unix.SockaddrUnix:
		env = append(env, peer(fd)...)
	default:
		env = append(env, ownPeer(from)...)
	}
	return append(env, "CONNECTION="+strconv.FormatInt(number, 10))
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
