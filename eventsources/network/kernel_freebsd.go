package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// receiveBuffer is how many bytes of messages may wait in the socket.
const receiveBuffer = 1 << 20

const (
	maxRead  = 16 << 10 // bytes of a message
	maxBatch = 256      // messages that are told at once
)

// kernel is a socket on which the kernel tells of changes. It does not tell of
// messages for which there was no room, but all is looked at after each time
// that messages were read. One goroutine uses it.
type kernel struct {
	file   *os.File
	conn   syscall.RawConn
	buffer []byte
	names  map[int]string // of links
}

// openKernel begins to hear of changes.
func openKernel(receiveBuffer int) (*kernel, error) {
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("cannot open a routing socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // or as it is
	k := &kernel{file: os.NewFile(uintptr(fd), "route"), buffer: make([]byte, maxRead), names: map[int]string{}}
	if k.conn, err = k.file.SyscallConn(); err != nil {
		k.file.Close()
		return nil, err
	}
	return k, nil
}

// watch tells first what there is, then what changes, until the context is
// done. It closes the socket.
func (k *kernel) watch(ctx context.Context, logf func(string, ...any), changes chan<- change) error {
	defer k.file.Close()
	stop := context.AfterFunc(ctx, func() { k.file.Close() }) // which ends reading
	defer stop()
	tell := func(c change) {
		select {
		case changes <- c:
		case <-ctx.Done():
		}
	}
	c, err := k.look()
	if err == nil {
		tell(c)
	}
	var told time.Time // of a message
	for err == nil && ctx.Err() == nil {
		var moved bool
		var unread error
		c, moved, unread, err = k.next()
		if unread != nil && time.Since(told) > time.Minute {
			told = time.Now()
			logf("%v", unread)
		}
		if len(c.links) > 0 {
			tell(c)
		}
		if moved && err == nil {
			if c, err = k.look(); err == nil {
				tell(c)
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// next waits for messages and takes those there are. moved is that all is to
// be looked at, unread about a message that cannot be read.
func (k *kernel) next() (c change, moved bool, unread, err error) {
	for n := range maxBatch {
		b, err := k.receive(n == 0)
		switch {
		case err == unix.EAGAIN:
			return c, moved, unread, nil
		case err == unix.ENOBUFS: // of later kernels
			moved = true
		case err != nil:
			return c, false, nil, fmt.Errorf("cannot read routing messages: %w", err)
		default:
			m, err := k.take(&c, b)
			if moved = moved || m; err != nil {
				unread = fmt.Errorf("cannot read the routing message %x: %w", b[:min(len(b), 200)], err)
			}
		}
	}
	return c, true, unread, nil
}

// take reads messages of links, so that none of their changes is missed; what
// the others are about is looked at.
func (k *kernel) take(c *change, b []byte) (moved bool, err error) {
	list, err := routingMessages(b)
	for _, m := range list {
		switch m[typeOffset] {
		case rtmAdd, rtmDelete, rtmChange, rtmNewAddr, rtmDelAddr, rtmIfAnnounce:
			moved = true
		case rtmIfInfo:
			moved = true
			l, err := parseIfInfo(m)
			if err != nil {
				return true, err
			}
			if l.name = k.names[l.index]; l.name != "" {
				c.links = append(c.links, l)
			}
		}
	}
	return moved || err != nil, err
}

// receive reads messages; without wait the error may be EAGAIN.
func (k *kernel) receive(wait bool) (b []byte, err error) {
	n := 0
	failed := k.conn.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), k.buffer)
		return err != unix.EAGAIN || !wait
	})
	if failed != nil {
		return nil, failed
	}
	return k.buffer[:max(n, 0)], err
}

// look asks for all there is.
func (k *kernel) look() (change, error) {
	c := change{all: true, reach: &reach{}}
	clear(k.names)
	err := list(unix.NET_RT_IFLIST, func(m []byte) error {
		switch m[typeOffset] {
		case rtmIfInfo:
			l, err := parseIfInfo(m)
			if err != nil || l.name == "" {
				return err
			}
			c.links = append(c.links, l)
			k.names[l.index] = l.name
		case rtmNewAddr:
			a, ok, err := parseNewAddr(m)
			if ok {
				c.reach.addresses = append(c.reach.addresses, a)
			}
			return err
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	return c, list(unix.NET_RT_DUMP, func(m []byte) error {
		w, ok, err := parseGet(m)
		if ok {
			c.reach.ways = append(c.reach.ways, w)
		}
		return err
	})
}

// list has the messages of a list read. The kernel says when it has grown
// after room was made for it.
func list(what int, each func([]byte) error) error {
	var b []byte
	err := error(unix.ENOMEM)
	for n := 0; n < 100 && errors.Is(err, unix.ENOMEM); n++ {
		b, err = unix.SysctlRaw("net.routetable", 0, unix.AF_UNSPEC, what, 0)
	}
	if err != nil {
		return fmt.Errorf("cannot list links, addresses and routes: %w", err)
	}
	all, err := routingMessages(b)
	for i := 0; i < len(all) && err == nil; i++ {
		err = each(all[i])
	}
	return err
}
