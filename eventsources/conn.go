package eventsources

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/platform/address"
	"onset/platform/wire"
)

// conn is a connection to init. One goroutine reads it, one writes it.
type conn struct {
	*net.UnixConn
	in *bufio.Reader
	// gone is closed after the last was read, and written once nothing is written
	// any more.
	gone, written chan struct{}
}

// dial connects and authenticates, by the credentials of the socket.
func dial(ctx context.Context, text string) (*conn, error) {
	name, ok := address.Socket(text)
	if !ok {
		return nil, fmt.Errorf("no address of a socket: %q", text)
	}
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	k := &conn{UnixConn: socket, in: bufio.NewReaderSize(socket, 32<<10), gone: make(chan struct{}), written: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	err = k.authenticate()
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		socket.Close()
		return nil, err
	}
	return k, nil
}

func (k *conn) authenticate() error {
	id := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	if _, err := io.WriteString(k, "\x00AUTH EXTERNAL "+id+"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"); err != nil {
		return err
	}
	for _, want := range []string{"OK ", "AGREE_UNIX_FD"} {
		line, err := k.in.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, want) {
			return fmt.Errorf("authentication: %q", line)
		}
	}
	return nil
}

// read hands on what comes until the connection ends.
func (k *conn) read(handle func(*wire.Message)) {
	defer close(k.gone)
	defer k.Close()
	for {
		m, err := wire.Read(k.in)
		if err != nil {
			return
		}
		handle(m)
	}
}

// send writes requests, as many as it can at once.
func (k *conn) send(list []*request, buffer []byte) error {
	for len(list) > 0 {
		n, b := 1, append(buffer[:0], list[0].bytes...)
		var rights []byte
		if list[0].file >= 0 {
			rights = unix.UnixRights(list[0].file)
		}
		for ; n < len(list) && list[n].file < 0 && len(b) < cap(buffer); n++ {
			b = append(b, list[n].bytes...)
		}
		sent := 0
		var err error
		if rights != nil {
			sent, _, err = k.WriteMsgUnix(b, rights, nil)
		}
		if err == nil {
			_, err = k.Write(b[sent:])
		}
		if err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

var errLost = errors.New("the connection to init was lost")

// copyFile returns a descriptor of our own of a file; -1 of none.
func copyFile(f *os.File) (fd int, err error) {
	if f == nil {
		return -1, nil
	}
	raw, err := f.SyscallConn() // Fd might have the file block
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		err = e
	}
	if err != nil {
		return -1, fmt.Errorf("cannot copy a descriptor: %w", err)
	}
	return fd, nil
}

func closeFile(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
