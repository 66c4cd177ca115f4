package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"onset/core/control"
	"onset/platform/address"
	"onset/platform/wire"
)

// client is one connection to init, used by one goroutine. Calls wait without
// limit (UPSTART §7.2).
type client struct {
	conn   *os.File
	in     *bufio.Reader
	out    bytes.Buffer // encoded, not yet sent
	dest   string       // name of init on a bus; empty on a private socket
	serial uint32       // of the last call

	address string // where it is connected
	asked   bool   // something of a call was written
}

// request is one call to be made.
type request struct {
	path   control.ObjectPath
	method *control.MethodSpec
	args   []any
}

// How many calls are on their way at once: a bus allows a client no more than
// 128 without reply, and what init has not read must fit into its socket.
const (
	busWindow     = 64
	privateWindow = 256
)

// attempts to connect to an init that dies before it could be asked anything.
const attempts = 10

// errLost is libdbus's text for a connection that ends before the reply.
var errLost error = spoken("Did not receive a reply. Possible causes include: the remote application did not send a reply, " +
	"the message bus security policy blocked the reply, the reply timeout expired, or the network connection was broken.")

// dial connects to the first of the addresses that answers and authenticates.
func dial(addresses string) (*client, error) {
	err := errors.New("no usable address: " + addresses)
	for a := range strings.SplitSeq(addresses, ";") {
		if name, ok := address.Socket(a); ok {
			c := &client{address: name}
			if err = c.connect(); err == nil {
				return c, nil
			}
		}
	}
	return nil, err
}

// connect connects and authenticates, again where the connection is lost on
// the way: init may have crashed and goes on.
func (c *client) connect() (err error) {
	for range attempts {
		if c.conn, err = open(c.address); err != nil {
			return dialError(c.address, err)
		}
		c.in = bufio.NewReaderSize(c.conn, 16<<10)
		if err = c.authenticate(os.Geteuid()); err == nil {
			return nil
		}
		c.close()
		if err != errLost {
			return err
		}
	}
	return err
}

// dialError words a failure to connect as other D-Bus programs do.
func dialError(name string, err error) error {
	return spoken("Failed to connect to socket " + strings.TrimPrefix(name, "@") + ": " + systemText(err))
}

// systemText is an error of the system worded as in C.
func systemText(err error) string {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// authenticate proves who we are by the credentials of the socket. What ends
// the handshake goes out with the first call.
func (c *client) authenticate(uid int) error {
	id := hex.EncodeToString([]byte(strconv.Itoa(uid)))
	if _, err := io.WriteString(c.conn, "\x00AUTH EXTERNAL "+id+"\r\n"); err != nil {
		return errLost
	}
	line, err := c.in.ReadString('\n')
	switch {
	case err != nil:
		return errLost
	case !strings.HasPrefix(line, "OK"):
		return spoken("Authentication was rejected")
	}
	return nil
}

// hello makes the connection known to a bus; dest is whom to talk to there.
func (c *client) hello(dest string) error {
	c.dest = "org.freedesktop.DBus"
	_, err := c.do(request{"/org/freedesktop/DBus", &control.MethodSpec{Interface: c.dest, Name: "Hello"}, nil})
	c.dest = dest
	return err
}

func (c *client) close() { c.conn.Close() }

// call makes one call and returns the values of the reply. A *control.Error
// is init's answer; any other error is the end of the connection.
func (c *client) call(path control.ObjectPath, m control.Method, args ...any) ([]any, error) {
	return c.do(request{path, m.Spec(), args})
}

func (c *client) do(r request) (body []any, err error) {
	fatal := c.each([]request{r}, func(_ int, b []any, e error) { body, err = b, e })
	if fatal != nil {
		return nil, fatal
	}
	return body, err
}

// each makes many calls at once. got is called for each reply as it comes, in
// any order. The error is that of the connection.
func (c *client) each(requests []request, got func(i int, body []any, err error)) error {
	first := c.serial + 1
	sent, window := 0, privateWindow
	if c.dest != "" {
		window = busWindow
	}
	for done := 0; done < len(requests); {
		if sent-done <= window/2 {
			for ; sent < len(requests) && sent-done < window; sent++ {
				if err := c.encode(requests[sent]); err != nil {
					return err
				}
			}
			if err := c.flush(); err != nil {
				return err
			}
		}
		serial, body, answer, err := c.receive()
		if err != nil {
			return err
		}
		if i := int(serial - first); serial >= first && i < sent {
			got(i, body, answer)
			done++
		}
	}
	return nil
}

// callForSignal makes a call and waits for its reply or a signal, whichever
// comes first.
func (c *client) callForSignal(r request, name string) error {
	if err := c.encode(r); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	for {
		m, err := wire.Read(c.in)
		switch {
		case err != nil:
			return errLost
		case m.Kind == wire.ErrorMessage:
			return replyError(m)
		case m.Kind == wire.ReturnMessage, m.Member == name:
			return nil
		}
	}
}

// encode appends a call to what is to be sent.
func (c *client) encode(r request) error {
	call := wire.Call{Destination: c.dest, Path: r.path, Method: r.method, Args: r.args}
	b, err := call.Encode(c.serial + 1)
	if err != nil {
		return spoken(err.Error())
	}
	c.serial++
	c.out.Write(b)
	return nil
}

// flush writes the calls. A connection that is gone before it took anything of
// the first is made again: nothing was asked.
func (c *client) flush() error {
	b := c.out.Bytes()
	defer c.out.Reset()
	if !c.asked {
		b = append([]byte("BEGIN\r\n"), b...)
	}
	for range attempts {
		n, err := c.conn.Write(b)
		switch {
		case err == nil:
			c.asked = true
			return nil
		case c.asked || n > 0:
			return errLost
		}
		c.close()
		if err := c.connect(); err != nil {
			return err
		}
	}
	return errLost
}

// receive waits for a reply and returns the serial of its call and either its
// values or init's error.
func (c *client) receive() (serial uint32, body []any, answer, err error) {
	for {
		if c.passSignals() != nil {
			return 0, nil, nil, errLost
		}
		m, err := wire.Read(c.in)
		if err != nil {
			return 0, nil, nil, errLost
		}
		switch m.Kind {
		case wire.ReturnMessage:
			if body, err = m.Body(); err != nil {
				return 0, nil, nil, errLost
			}
			return m.ReplyTo, body, nil, nil
		case wire.ErrorMessage:
			return m.ReplyTo, nil, replyError(m), nil
		}
	}
}

// passSignals leaves out what init tells everybody without decoding it, which
// takes longer than making it: an event may start a thousand jobs.
func (c *client) passSignals() error {
	for {
		b, err := c.in.Peek(wire.Prefix)
		if err != nil || wire.Kind(b[1]) != wire.SignalMessage {
			return err
		}
		size, ok := wire.Frame(b)
		if !ok {
			return errLost
		}
		if _, err := c.in.Discard(wire.Prefix + size); err != nil {
			return err
		}
	}
}

func replyError(m *wire.Message) error {
	e, err := m.Error()
	if err != nil {
		return errLost
	}
	return e
}

// isError reports whether init answered with the error of that name.
func isError(err error, name string) bool {
	e, ok := errors.AsType[*control.Error](err)
	return ok && e.Name == name
}

// only returns the only value of a reply.
func only[T any](body []any, err error) (T, error) {
	var v T
	if err != nil {
		return v, err
	}
	if len(body) > 0 {
		if v, ok := body[0].(T); ok {
			return v, nil
		}
	}
	return v, spoken("Unexpected reply from init")
}

// properties are the answer of GetAll.
type properties = wire.Properties

// get returns a property, the zero value if it is not there.
func get[T any](p properties, name string) T {
	v, _ := p[name].(T)
	return v
}
