// Package msgbus is what event sources share that listen to a message bus: a
// connection that is made again whenever it is lost.
//
// Signals reach the source by the goroutine that reads the connection, so what
// a source has not dealt with stays in the bus. The bus sends no file
// descriptors here, since nobody would close them.
package msgbus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/platform/address"
)

// Driver is the name of the bus itself, which nobody else can send under.
const Driver = "org.freedesktop.DBus"

const (
	firstDelay = 100 * time.Millisecond // before another connection
	lastDelay  = 5 * time.Second
)

// ErrGone is the error of a bus that closed the connection.
var ErrGone = errors.New("the message bus closed the connection")

// System returns the address of the machine's bus.
func System() string {
	if own := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); own != "" {
		return own
	}
	return "unix:path=/var/run/dbus/system_bus_socket"
}

// Session returns the address of the user's bus.
func Session() string {
	if own := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); own != "" {
		return own
	}
	return "unix:path=" + os.Getenv("XDG_RUNTIME_DIR") + "/bus"
}

// Client is what is done with a bus.
type Client struct {
	Address func() string
	// Signal takes each signal that comes. While it waits, nothing is read,
	// answers to calls neither.
	Signal func(m *dbus.Message)
	// Serve has the connection until its context is done. An error ends it.
	Serve func(conn *dbus.Conn) error
	// Absent is called by Keep when there is no bus, and Logf once.
	Absent func()
	Logf   func(format string, args ...any)
}

// Once serves one connection, and returns why it ended.
func (c *Client) Once(ctx context.Context) error {
	_, err := c.once(ctx)
	return err
}

// Keep serves connections until the context is done. It says once that there
// is no bus.
func (c *Client) Keep(ctx context.Context) {
	told := false
	for delay := firstDelay; ctx.Err() == nil; delay = min(2*delay, lastDelay) {
		connected, err := c.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if connected {
			delay, told = firstDelay, false
		}
		if !told {
			c.Logf("%v; trying again", err)
			told = true
		}
		c.Absent()
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
}

func (c *Client) once(ctx context.Context) (connected bool, err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := c.Serve(conn); err != nil && conn.Context().Err() == nil && !Broken(err) {
		return true, err
	}
	return true, ErrGone
}

// Broken reports whether an error is that the bus closed the connection, of
// which who writes may hear before who reads, and so before its context.
func Broken(err error) bool {
	return slices.ContainsFunc([]error{syscall.EPIPE, syscall.ECONNRESET, net.ErrClosed, dbus.ErrClosed},
		func(closed error) bool { return errors.Is(err, closed) })
}

func (c *Client) connect(ctx context.Context) (*dbus.Conn, error) {
	stream, err := dial(c.Address())
	if err != nil {
		return nil, err
	}
	conn, err := dbus.NewConn(stream, dbus.WithContext(ctx), dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type == dbus.TypeSignal {
			c.Signal(m)
		}
	}))
	if err != nil {
		stream.Close()
		return nil, err
	}
	if err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// stream is a socket that is read in large pieces.
type stream struct {
	net.Conn
	in *bufio.Reader
}

func (s *stream) Read(b []byte) (int, error) { return s.in.Read(b) }

// dial connects to the first that answers of the sockets in a D-Bus address.
func dial(bus string) (*stream, error) {
	err := fmt.Errorf("%q is not the address of a socket", bus)
	for one := range strings.SplitSeq(bus, ";") {
		if name, ok := address.Socket(one); ok {
			var conn net.Conn
			if conn, err = net.Dial("unix", name); err == nil {
				return &stream{conn, bufio.NewReader(conn)}, nil
			}
		}
	}
	return nil, err
}

// Text returns a header of a message that is a string or a path; empty
// without it.
func Text(m *dbus.Message, field dbus.HeaderField) string {
	switch v := m.Headers[field].Value().(type) {
	case string:
		return v
	case dbus.ObjectPath:
		return string(v)
	}
	return ""
}

// Rule returns a rule that matches signals, of keys and values.
func Rule(keysAndValues ...string) string {
	rule := "type='signal'"
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		rule += "," + keysAndValues[i] + "='" + strings.ReplaceAll(keysAndValues[i+1], "'", `'\''`) + "'"
	}
	return rule
}

// Rules has a connection match these rules, and of those of before only these;
// the values are for messages. It returns those that the bus refused.
func Rules(conn *dbus.Conn, before, rules map[string]string) (refused map[string]error) {
	refused = map[string]error{}
	call := func(method, rule string) {
		if err := conn.BusObject().Call(Driver+"."+method, 0, rule).Err; err != nil {
			refused[rule] = err
		}
	}
	for rule := range rules {
		if _, ok := before[rule]; !ok {
			call("AddMatch", rule)
		}
	}
	for rule := range before {
		if _, ok := rules[rule]; !ok {
			call("RemoveMatch", rule)
		}
	}
	return refused
}
