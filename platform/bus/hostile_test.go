package bus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/core/control"
)

// hello is a whole handshake for root or whoever runs the test.
var hello = fmt.Sprintf("\x00AUTH EXTERNAL %x\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", fmt.Sprint(os.Geteuid()))

// answers reads what the server says until it has said that or hangs up.
func answers(t testing.TB, fd int, until string) string {
	t.Helper()
	var all []byte
	b := make([]byte, 4096)
	for until == "" || !strings.Contains(string(all), until) {
		n, err := blocking(fd).Read(b)
		if err == io.EOF || err == unix.ECONNRESET {
			return string(all) + "EOF"
		}
		if err != nil {
			t.Fatalf("after %q: %v", all, err)
		}
		all = append(all, b[:n]...)
	}
	return string(all)
}

func put(t testing.TB, fd int, text string) {
	t.Helper()
	for len(text) > 0 {
		n, err := unix.SendmsgN(fd, []byte(text), nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return // the server has hung up
		}
		text = text[n:]
	}
}

// call returns the bytes of a method call.
func call(t testing.TB, member string, args ...any) string {
	t.Helper()
	return message(t, 1, member, args...)
}

// message returns the bytes of a method call, encoded by godbus.
func message(t testing.TB, serial uint32, member string, args ...any) string {
	t.Helper()
	return in(t, binary.LittleEndian, serial, member, args...)
}

// in is message in a byte order.
func in(t testing.TB, order binary.ByteOrder, serial uint32, member string, args ...any) string {
	t.Helper()
	m := dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(control.Root)),
		dbus.FieldInterface: dbus.MakeVariant(control.InterfaceManager), dbus.FieldMember: dbus.MakeVariant(member),
		dbus.FieldDestination: dbus.MakeVariant("com.ubuntu.Upstart")}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	if n, err := m.CountFds(); err == nil && n > 0 {
		m.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(n))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	order.PutUint32(b.Bytes()[8:], serial)
	return b.String()
}

func TestHandshake(t *testing.T) {
	w := newWorld(t, nil)
	uid := fmt.Sprintf("%x", fmt.Sprint(os.Geteuid()))
	ok, rejected := "OK "+w.guid+"\r\n", "REJECTED EXTERNAL\r\n"
	tests := []struct{ why, in, want string }{
		{"the uid", "\x00AUTH EXTERNAL " + uid + "\r\n", ok},
		{"no uid", "\x00AUTH EXTERNAL\r\nDATA\r\n", "DATA\r\n" + ok},
		{"an empty uid", "\x00AUTH EXTERNAL\r\nDATA \r\n", "DATA\r\n" + ok},
		{"the uid later", "\x00AUTH EXTERNAL\r\nDATA " + uid + "\r\n", "DATA\r\n" + ok},
		{"another uid", "\x00AUTH EXTERNAL 3939\r\nAUTH EXTERNAL " + uid + "\r\n", rejected + ok},
		{"not hexadecimal", "\x00AUTH EXTERNAL xyz\r\n", rejected},
		{"no mechanism", "\x00AUTH\r\n", rejected},
		{"another mechanism", "\x00AUTH DBUS_COOKIE_SHA1 30\r\nAUTH ANONYMOUS\r\n", rejected + rejected},
		{"given up", "\x00AUTH EXTERNAL\r\nCANCEL\r\nERROR\r\n", "DATA\r\n" + rejected + rejected},
		{"descriptors", "\x00AUTH EXTERNAL " + uid + "\r\nNEGOTIATE_UNIX_FD\r\n", ok + "AGREE_UNIX_FD\r\n"},
		{"descriptors too early", "\x00NEGOTIATE_UNIX_FD\r\n", "ERROR \"Unknown command\"\r\n"},
		{"data unasked", "\x00DATA " + uid + "\r\n", "ERROR \"Unknown command\"\r\n"},
		{"no NUL", "AUTH EXTERNAL " + uid + "\r\n", "EOF"},
		{"early begin", "\x00BEGIN\r\n", "EOF"},
		{"a long line", "\x00" + strings.Repeat("x", maxHandshake+1), "EOF"},
		{"many lines", "\x00" + strings.Repeat("AUTH\r\n", 100), strings.Repeat(rejected, maxRejects+1) + "EOF"},
		{"garbage for a message", hello + strings.Repeat("x", 16), ok + "AGREE_UNIX_FD\r\nEOF"},
		{"another protocol", hello + "l\x01\x00\x02" + strings.Repeat("\x00", 12), ok + "AGREE_UNIX_FD\r\nEOF"},
		{"a message without fields", hello + "l\x01\x00\x01" + strings.Repeat("\x00", 4) + "\x01\x00\x00\x00" + strings.Repeat("\x00", 4), ok + "AGREE_UNIX_FD\r\nEOF"},
		{"a huge message", hello + "l\x01\x00\x01\x00\x00\x00\x7f\x01\x00\x00\x00\xff\xff\xff\xff", ok + "AGREE_UNIX_FD\r\nEOF"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			for _, bytewise := range []bool{false, true} {
				fd := w.raw()
				if bytewise {
					for i := range tt.in {
						put(t, fd, tt.in[i:i+1])
					}
				} else {
					put(t, fd, tt.in)
				}
				if got := answers(t, fd, tt.want); got != tt.want {
					t.Errorf("bytewise %v: got %q, want %q", bytewise, got, tt.want)
				}
			}
		})
	}
	if err := manager(w.dial()).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error(err)
	}
}

func TestMessageInPieces(t *testing.T) {
	w := newWorld(t, nil)
	fd := w.raw()
	text := hello + call(t, "EmitEvent", "first", []string{}, true) + call(t, "EmitEvent", strings.Repeat("x", 200000), []string{}, true)
	for len(text) > 0 {
		n := min(len(text), 1+len(text)/7)
		put(t, fd, text[:n])
		text = text[n:]
	}
	eventually(t, "both calls arrive", func() bool { return len(w.handled()) == 2 })
	if calls := w.handled(); calls[0].Name != "first" || len(calls[1].Name) != 200000 {
		t.Error("calls are damaged")
	}
}

// A client that comes to nothing on a busy machine is not one that holds init up.
func TestSlowHandshakeLastsWhileThereIsRoom(t *testing.T) {
	w := newWorld(t, nil)
	fd := w.raw()
	put(t, fd, hello[:7])
	eventually(t, "it is connected", func() (is bool) {
		w.within(func() { is = w.connections() == 1 })
		return is
	})
	w.within(func() { w.shift += 100 * handshakeTime })
	w.dial()
	w.wantLog("Connection from private client")
	put(t, fd, hello[7:]+call(t, "GetAllJobs"))
	answers(t, fd, "foo_2dbar")
}

// What later versions of D-Bus have is to be ignored.
func TestWhatIsNewerIsIgnored(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		newer := func(at int, value byte, m string) string { return m[:at] + string([]byte{value}) + m[at+1:] }
		event := func(name string, args ...any) string {
			return in(t, order.(binary.ByteOrder), 1, "EmitEvent", append([]any{name, []string{}, false}, args...)...)
		}
		for what, m := range map[string]string{
			"a type":                  newer(1, 5, event("type")),
			"a type with nothing":     "l\xff\x00\x01" + string(order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, 0), 1), 0)),
			"a type with descriptors": newer(1, 200, event("type", dbus.UnixFD(file.Fd()))),
			"a flag":                  newer(2, 0x81, event("flag")),
			"a field":                 strings.Replace(event("field"), "\x06\x01s\x00", "\x2a\x01s\x00", 1),
		} {
			if order.String() == "BigEndian" && m[0] == 'l' {
				m = "B" + m[1:]
			}
			w := newWorld(t, nil)
			fd := w.raw()
			put(t, fd, hello)
			var files []byte
			if strings.Contains(what, "descriptors") {
				files = unix.UnixRights(int(file.Fd()))
			}
			if err := unix.Sendmsg(fd, []byte(m), files, nil, 0); err != nil {
				t.Fatal(err)
			}
			last := in(t, order.(binary.ByteOrder), 2, "EmitEvent", "last", []string{}, true)
			put(t, fd, last)
			eventually(t, what+" does not end the connection", func() bool {
				calls := w.handled()
				return len(calls) > 0 && calls[len(calls)-1].Name == "last"
			})
			want := 1
			if !strings.HasPrefix(what, "a type") {
				want = 2
			}
			var left int
			w.within(func() {
				for _, c := range w.conns {
					left += len(c.stream.files)
				}
			})
			if got := len(w.handled()); got != want || left != 0 {
				t.Errorf("%s, %s: %d calls, %d descriptors are left", order, what, got, left)
			}
		}
	}
}

func TestClientThatDoesNotRead(t *testing.T) {
	w := newWorld(t, nil)
	fd, c := w.raw(), w.dial()
	put(t, fd, hello)
	get := call(t, "GetState")
	for range 12 {
		put(t, fd, get)
	}
	w.wantLog("the client does not read")
	if err := manager(c).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error(err)
	}
	var held int
	w.within(func() { held = w.held })
	if held != 0 {
		t.Errorf("%d bytes are still counted", held)
	}
}

func TestSlowReaderGetsAll(t *testing.T) {
	w := newWorld(t, nil)
	fd := w.raw()
	put(t, fd, hello+call(t, "GetState")+call(t, "GetState")+call(t, "GetAllJobs"))
	eventually(t, "all calls are handled", func() bool { return len(w.handled()) == 3 })
	got := answers(t, fd, "foo_2dbar")
	if n := strings.Count(got, "x"); n < 2<<20 {
		t.Errorf("%d bytes of 2 MiB came", n)
	}
	var held int
	w.within(func() { held = w.held })
	if held != 0 {
		t.Errorf("%d bytes are still counted", held)
	}
}

func TestGreediestClientGoes(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial()
	get := call(t, "GetState")
	for range maxHeldByAll>>20/7 + 2 {
		fd := w.raw()
		put(t, fd, hello+strings.Repeat(get, 7))
	}
	w.wantLog(errMemory.Error())
	var held, left int
	w.within(func() { held, left = w.held, len(w.conns) })
	if held > maxHeldByAll || left < 5 {
		t.Errorf("%d bytes held for %d connections", held, left)
	}
	if err := manager(c).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error(err)
	}
}

func TestPendingCallsAreBounded(t *testing.T) {
	w := newWorld(t, func(w *world) { w.answer = func(control.Caller, control.Call) *control.Reply { return nil } })
	fd := w.raw()
	go put(t, fd, hello+strings.Repeat(call(t, "GetAllJobs"), maxPending+1))
	answers(t, fd, limitsText)
	eventually(t, "the others reach the engine, and no more", func() bool { return len(w.handled()) == maxPending })
}

func TestTooManyConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short: takes a thousand descriptors")
	}
	w := newWorld(t, func(w *world) {
		w.o.UID = os.Geteuid()
		w.o.Now = func() time.Duration { return w.shift } // a thousand connections may take long
	})
	limit := maxConnections
	if os.Geteuid() != 0 {
		limit = maxOfUser
	}
	c := w.dial()
	var fds []int
	for range limit - 1 {
		fds = append(fds, w.raw())
	}
	if got := answers(t, w.raw(), ""); got != "EOF" {
		t.Errorf("got %q", got)
	}
	if err := manager(c).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error(err)
	}
	w.wantLog("too many connections")
	w.within(func() { w.shift += handshakeTime })
	w.dial() // in the place of one whose handshake takes long
	w.wantLog("others need the place")
	unix.Shutdown(fds[1], unix.SHUT_RDWR)
	eventually(t, "there is room again", func() bool {
		again, err := dbus.Dial(w.address)
		if err != nil {
			return false
		}
		defer again.Close()
		return again.Auth([]dbus.Auth{dbus.AuthExternal(fmt.Sprint(os.Geteuid()))}) == nil
	})
}

func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.UID = 12345 })
	if os.Geteuid() != 0 {
		if got := answers(t, w.raw(), ""); got != "EOF" {
			t.Errorf("got %q", got)
		}
	}
	tests := []struct {
		uid, own int
		ok       bool
	}{{0, 12345, true}, {12345, 12345, true}, {12346, 12345, false}, {1, 0, false}, {-1, 0, false}}
	for _, tt := range tests {
		s := NewServer(w.poll, w, Options{UID: tt.own})
		if err := s.admit(peer{tt.uid, 1}); (err == nil) != tt.ok {
			t.Errorf("uid %d at a server of %d: %v", tt.uid, tt.own, err)
		}
	}
}

func TestFloodOfDescriptors(t *testing.T) {
	w := newWorld(t, nil)
	fd := w.raw()
	put(t, fd, hello)
	rights := unix.UnixRights(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for range 3 {
		unix.SendmsgN(fd, []byte("l"), rights, nil, unix.MSG_NOSIGNAL)
	}
	answers(t, fd, "EOF")
	w.wantLog("too many descriptors")
}

// No method takes a list of descriptors, on which godbus panics.
func TestListOfDescriptors(t *testing.T) {
	w := newWorld(t, nil)
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd := w.raw()
	put(t, fd, hello)
	if err := unix.Sendmsg(fd, []byte(message(t, 1, "EmitEvent", []dbus.UnixFD{0})), unix.UnixRights(int(wr.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	answers(t, fd, control.ErrInvalidArgs)
	wr.Close()
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the descriptor is not closed: %d, %v", n, err)
	}
}

// What cannot be read ends a connection, with the reason in the log.
func TestMalformedMessage(t *testing.T) {
	for what, from := range map[string][2]string{
		"a text without its end":      {"event\x00", "eventx"},
		"a truth that is none":        {"A=1\x00\x01", "A=1\x00\x02"},
		"a list beyond the body":      {"\x08\x00\x00\x00\x03", "\x7f\x00\x00\x00\x03"},
		"a signature that is none":    {"sasb\x00", "sasz\x00"},
		"a signature without its end": {"sasb\x00", "sasbb"},
		"an empty structure":          {"sasb\x00", "sa()\x00"},
		"too little of a body":        {"\x04sasb\x00", "\x04sasx\x00"},
		"too much of a body":          {"\x04sasb\x00", "\x03sas\x00\x00"},
		"a field of another type":     {"\x03\x01s\x00", "\x03\x01o\x00"},
		"a field that comes twice":    {"\x06\x01s\x00", "\x03\x01s\x00"},
		"no member":                   {"\x03\x01s\x00", "\x2a\x01s\x00"},
		"a bad member":                {"EmitEvent", "Emit.Even"},
		"a bad path":                  {"/com/ubuntu/", "/com//ubunt/"},
		"a bad interface":             {"com.ubuntu.Upstart0_6", "com..buntu.Upstart0_6"},
		"serial 0":                    {"l\x01\x00\x01\x1c\x00\x00\x00\x01", "l\x01\x00\x01\x1c\x00\x00\x00\x00"},
	} {
		m := call(t, "EmitEvent", "event", []string{"A=1"}, true)
		if !strings.Contains(m, from[0]) {
			t.Fatalf("%s: no %q in %q", what, from[0], m)
		}
		w := newWorld(t, nil)
		fd := w.raw()
		put(t, fd, hello+strings.Replace(m, from[0], from[1], 1))
		answers(t, fd, "EOF")
		w.wantLog(errMalformed.Error())
	}
}

func TestComplaintsAreBounded(t *testing.T) {
	now := time.Duration(0)
	var lines int
	s := NewServer(nil, nil, Options{Now: func() time.Duration { return now }, Logf: func(string, ...any) { lines++ }})
	for range 1000 {
		s.complain("x")
	}
	if lines != maxComplaints {
		t.Errorf("%d lines", lines)
	}
	now += complainTime
	if s.complain("x"); lines != maxComplaints+1 {
		t.Errorf("%d lines after a while", lines)
	}
}

// FuzzPeer sends anything to a server in one process, without a kernel.
func FuzzPeer(f *testing.F) {
	f.Add([]byte(hello))
	for _, m := range []string{call(f, "GetAllJobs"), call(f, "EmitEvent", "e", []string{"A=1"}, true),
		call(f, "EmitEventWithFile", "e", []string{}, true, dbus.UnixFD(0))} {
		f.Add([]byte(hello + m + m))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, step := range []int{len(in), 7} {
			fuzzOnce(t, in, step)
		}
	})
}

func fuzzOnce(t *testing.T, in []byte, step int) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	w := &world{t: t, poll: &pollPoller{watches: map[int]*watch{}}, answer: echo}
	w.Server = NewServer(w.poll, w, Options{Logf: w.logf, Now: func() time.Duration { return 0 }})
	w.newPeer(pair[0], peer{os.Geteuid(), -1})
	c := w.conns[1]
	for len(in) > 0 && !c.stream.shut {
		n := min(max(step, 1), len(in))
		if err := c.stream.take(in[:n]); err != nil {
			c.stream.fail(err)
		}
		in = in[n:]
		w.settle()
		io.Copy(io.Discard, nonblocking(pair[1]))
	}
	w.Server.Close()
	if w.held != 0 || len(w.poll.watches) != 0 {
		t.Errorf("%d bytes and %d watches are left", w.held, len(w.poll.watches))
	}
}

type nonblocking int

func (fd nonblocking) Read(b []byte) (int, error) {
	n, err := unix.Read(int(fd), b)
	if n <= 0 {
		return 0, io.EOF
	}
	return n, err
}
