package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// receiveBuffer is how many bytes of messages may wait in the socket.
const receiveBuffer = 4 << 20

const (
	maxRead  = 64 << 10 // bytes of a message, or of several of a list
	maxBatch = 256      // messages that are told at once
)

// settleTime is how long after a message of an IPv4 address that went the
// kernel has removed the routes that need it, of which it says nothing.
const settleTime = 200 * time.Millisecond

// kernel is a socket on which the kernel tells of changes. One goroutine uses
// it.
type kernel struct {
	file    *os.File
	conn    syscall.RawConn
	buffer  []byte
	up      map[int]bool // links, by the messages so far
	recheck time.Time    // when routes are to be read again; zero: not
}

// openKernel begins to hear of changes.
func openKernel(receiveBuffer int) (*kernel, error) {
	const groups = 1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1) |
		1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1)
	fd, err := routeSocket(groups)
	if err != nil {
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // as much as anybody may have
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, defaultsOnly()); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot filter messages of routes: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	k := &kernel{file: os.NewFile(uintptr(fd), "rtnetlink"), buffer: make([]byte, maxRead), up: map[int]bool{}}
	k.conn, err = k.file.SyscallConn()
	return k, err
}

func routeSocket(groups uint32) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("cannot open a routing socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("cannot listen to routing messages: %w", err)
	}
	return fd, nil
}

// defaultsOnly is a filter for what the kernel tells, one message at a time:
// of routes only default routes pass. A router has a million others.
func defaultsOnly() *unix.SockFprog {
	big := func(n uint16) uint32 { // as the filter reads it
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, n)))
	}
	const typeOffset, lengthOffset, all = 4, unix.SizeofNlMsghdr + 1, 0xffffffff
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: typeOffset},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: big(unix.RTM_NEWROUTE)},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 2, K: big(unix.RTM_DELROUTE)},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: lengthOffset},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
}

// watch tells first what there is, then what changes, until the context is
// done. It closes the socket.
func (k *kernel) watch(ctx context.Context, logf func(string, ...any), changes chan<- change) error {
	defer k.file.Close()
	stop := context.AfterFunc(ctx, func() { k.file.Close() }) // which ends reading
	defer stop()
	c, err := k.look()
	var told time.Time // of a loss
	for err == nil {
		select {
		case changes <- c:
		case <-ctx.Done():
			return nil
		}
		var lost error
		if c, lost, err = k.next(); lost != nil && err == nil {
			if time.Since(told) > time.Minute {
				told = time.Now()
				logf("%v: looking at all links", lost)
			}
			c, err = k.look()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// next waits for messages and takes those there are. lost is why some may be
// missing. Then all that waits is taken: until nothing does, the kernel leaves
// out what is new, and what is left would be older than a look.
func (k *kernel) next() (c change, lost, err error) {
	k.file.SetReadDeadline(k.recheck)
	moved := false
	for n := 0; n < maxBatch || lost != nil; n++ {
		b, err := k.receive(n == 0)
		if err == unix.EAGAIN {
			break
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			k.recheck, moved = time.Time{}, true
			k.file.SetReadDeadline(time.Time{})
		case err == unix.ENOBUFS:
			lost = errors.New("the kernel told more than there was room for")
		case err != nil:
			return c, nil, fmt.Errorf("cannot read routing messages: %w", err)
		default:
			m, err := k.take(&c, b)
			if moved = moved || m; err != nil {
				lost = fmt.Errorf("cannot read the routing message %x: %w", b[:min(len(b), 200)], err)
			}
		}
	}
	if moved && lost == nil {
		c.reach, err = k.reach()
	}
	return c, lost, err
}

// take reads messages. moved is that the way out may be another.
func (k *kernel) take(c *change, b []byte) (moved bool, err error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	for i := 0; i < len(messages) && err == nil; i++ {
		m := &messages[i]
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			var l linkChange
			var ok bool
			if l, ok, err = parseLink(m); ok {
				c.links = append(c.links, l)
				moved = moved || l.up && !k.up[l.index]
				k.up[l.index] = l.up
				if l.gone {
					delete(k.up, l.index)
				}
			}
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			if len(m.Data) < unix.SizeofIfAddrmsg {
				return moved, errShort
			}
			v4 := m.Data[0] == unix.AF_INET
			moved = moved || v4 || m.Data[3] == unix.RT_SCOPE_UNIVERSE
			if v4 && m.Header.Type == unix.RTM_DELADDR {
				k.recheck = time.Now().Add(settleTime)
			}
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			moved = moved || isDefault(m)
		}
	}
	return moved, err
}

// receive reads a datagram of the kernel's; without wait the error may be
// EAGAIN.
func (k *kernel) receive(wait bool) (b []byte, err error) {
	var n, flags int
	var from unix.Sockaddr
	failed := k.conn.Read(func(fd uintptr) bool {
		n, _, flags, from, err = unix.Recvmsg(int(fd), k.buffer, nil, 0)
		return err != unix.EAGAIN || !wait
	})
	switch sender, _ := from.(*unix.SockaddrNetlink); {
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, err
	case sender == nil || sender.Pid != 0:
		return nil, nil
	case flags&unix.MSG_TRUNC != 0:
		return nil, unix.ENOBUFS
	}
	return k.buffer[:n], nil
}

// look asks for all there is.
func (k *kernel) look() (change, error) {
	return whole(func() (c change, err error) {
		c.all = true
		clear(k.up)
		err = k.list(unix.RTM_GETLINK, func(m *syscall.NetlinkMessage) error {
			l, ok, err := parseLink(m)
			if ok {
				c.links = append(c.links, l)
				k.up[l.index] = l.up
			}
			return err
		})
		if err == nil {
			c.reach, err = k.reach()
		}
		return c, err
	})
}

// reach asks for addresses and default routes.
func (k *kernel) reach() (*reach, error) {
	return whole(func() (*reach, error) {
		r := &reach{}
		err := k.list(unix.RTM_GETADDR, func(m *syscall.NetlinkMessage) error {
			a, ok, err := parseAddress(m)
			if ok {
				r.addresses = append(r.addresses, a)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		return r, k.list(unix.RTM_GETROUTE, func(m *syscall.NetlinkMessage) error {
			if !isDefault(m) {
				return nil
			}
			ways, err := parseRoute(m)
			r.ways = append(r.ways, ways...)
			return err
		})
	})
}

// errChanged is that a list changed while the kernel told it.
var errChanged = errors.New("it keeps changing")

// whole reads lists again that changed meanwhile.
func whole[T any](read func() (T, error)) (v T, err error) {
	for range 100 {
		if v, err = read(); err != errChanged {
			break
		}
	}
	if err != nil {
		return v, fmt.Errorf("cannot list links, addresses and routes: %w", err)
	}
	return v, nil
}

// list has the messages of a list read.
func (k *kernel) list(request uint16, each func(*syscall.NetlinkMessage) error) error {
	fd, err := routeSocket(0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ask := binary.NativeEndian.AppendUint32(nil, unix.SizeofNlMsghdr+unix.SizeofRtGenmsg)
	ask = binary.NativeEndian.AppendUint16(ask, request)
	ask = binary.NativeEndian.AppendUint16(ask, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	ask = append(ask, make([]byte, 8+unix.SizeofRtGenmsg)...) // number, port, all families
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(fd, k.buffer, 0)
		if err != nil {
			return err
		}
		if done, err := readList(k.buffer[:n], each); done || err != nil {
			return err
		}
	}
}

// readList reads a part of a list.
func readList(b []byte, each func(*syscall.NetlinkMessage) error) (done bool, err error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	for i := 0; i < len(messages) && err == nil; i++ {
		m := &messages[i]
		switch {
		case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0:
			return false, errChanged
		case m.Header.Type == unix.NLMSG_DONE:
			return true, nil
		case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
			return false, unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		default:
			err = each(m)
		}
	}
	return false, err
}
