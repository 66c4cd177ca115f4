package bus

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/core/control"
	"onset/platform/posix"
)

// shelf is a Keeper in memory.
type shelf struct {
	t     testing.TB
	files map[string]int
	full  bool
	late  []int  // copies not closed yet
	die   func() // may panic, as the death of the process that asks
}

func newShelf(t testing.TB) *shelf {
	k := &shelf{t: t, files: map[string]int{}}
	t.Cleanup(func() {
		for _, fd := range k.files {
			unix.Close(fd)
		}
		posix.CloseAll(k.late)
	})
	k.die = func() {}
	return k
}

func (k *shelf) Store(name string, fd int) error {
	if k.full {
		return unix.ENOSPC
	}
	k.die()
	k.remove(name)
	k.files[name] = copyOf(k.t, fd)
	k.die()
	return nil
}

func (k *shelf) Drop(name string) error {
	k.die()
	k.remove(name)
	k.die()
	return nil
}

func (k *shelf) remove(name string) {
	if fd, ok := k.files[name]; ok {
		k.late = append(k.late, fd)
		delete(k.files, name)
	}
}

// settle closes what was dropped.
func (k *shelf) settle() {
	posix.CloseAll(k.late)
	k.late = nil
}

func copyOf(t testing.TB, fd int) int {
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// crashes is a server that dies now and then, and its clients, in one
// goroutine. The journal is what a manager would have of it.
type crashes struct {
	*Server
	t       *testing.T
	poll    *pollPoller
	keep    *shelf
	random  *rand.Rand
	inbox   []asked
	journal []asked
	known   map[uint64]bool // by the journal
	done    int             // of the journal: answered, the last perhaps
	deaths  int
	mortal  bool
	clock   time.Duration
}

// death is what a panic of the server that dies is.
type death struct{}

// mayDie is called wherever the server may die.
func (c *crashes) mayDie() {
	if c.mortal && c.random.IntN(12) == 0 {
		panic(death{})
	}
}

// lives reports whether the server is alive after f.
func (c *crashes) lives(f func()) (alive bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case death{}:
			alive = false
		default:
			panic(p)
		}
	}()
	f()
	return true
}

func (c *crashes) Call(who control.Caller, call control.Call) {
	if call.Method == control.EmitEventWithFile {
		if _, err := unix.FcntlInt(uintptr(call.File), unix.F_GETFD, 0); err != nil || call.File < 3 {
			c.t.Errorf("%s: descriptor %d: %v", call.Name, call.File, err)
		}
		closeCall(&call)
	}
	c.inbox = append(c.inbox, asked{who, call})
}

func (c *crashes) Hangup(uint64) {}

func (c *crashes) begin() {
	var last uint64
	for _, a := range c.journal {
		last = max(last, a.Conn)
	}
	c.Server = NewServer(c.poll, c, Options{UID: os.Geteuid(), Keep: c.keep, Now: c.now, LastConn: last,
		Logf: func(format string, args ...any) { c.t.Logf(format, args...) }})
}

func (c *crashes) now() time.Duration { return c.clock }

// turn is one turn of a manager; it may die in any moment of it, and of its
// new life.
func (c *crashes) turn() {
	if c.lives(c.work) {
		return
	}
	for c.end(); !c.lives(c.adopt); {
		c.end()
	}
}

func (c *crashes) work() {
	c.keep.settle()
	c.Taken()
	c.mayDie()
	if err := c.poll.Wait(0); err != nil {
		c.t.Fatal(err)
	}
	for _, a := range c.inbox {
		c.mayDie()
		if c.known[a.ID] {
			c.t.Errorf("%s was told twice", a.Name)
		}
		c.journal, c.known[a.ID] = append(c.journal, a), true
	}
	c.inbox = nil
	for c.done < len(c.journal) {
		c.mayDie()
		a := c.journal[c.done]
		c.Respond(a.ID, a.Conn, control.Reply{})
		c.done++
	}
}

// end closes what a process has open.
func (c *crashes) end() {
	c.deaths++
	for fd := range c.poll.watches {
		unix.Close(fd)
	}
	clear(c.poll.watches)
	for _, conn := range c.conns {
		conn.stream.closeFiles()
	}
	c.inbox = nil
	c.begin()
}

// adopt goes on with what is kept.
func (c *crashes) adopt() {
	c.done = max(c.done-1, 0) // nobody knows whether it was sent
	for _, name := range slices.Sorted(maps.Keys(c.keep.files)) {
		fd := c.keep.files[name]
		c.AdoptStored(name, copyOf(c.t, fd), func(id uint64) bool { return c.known[id] })
	}
}

// caller is a client that does as initctl does.
type caller struct {
	c       *crashes
	number  int
	fd      int
	in      []byte
	sloppy  bool // sends halves of messages, and may lose the connection for it
	risks   bool // has sent a descriptor where that may cost the connection
	greeted bool
	begun   bool
	serial  uint32
	unsent  []byte
	asked   map[uint32]bool // false: not answered
	lost    int
}

func (p *caller) connect() {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.c.t.Fatal(err)
	}
	p.c.newPeer(pair[1], peer{os.Geteuid(), -1})
	p.fd, p.in, p.greeted, p.begun, p.risks, p.unsent = pair[0], nil, false, false, false, nil
	put(p.c.t, p.fd, fmt.Sprintf("\x00AUTH EXTERNAL %x\r\n", fmt.Sprint(os.Geteuid())))
}

// read takes what came; the end of the connection must be one that the rules
// of package bus allow.
func (p *caller) read() {
	b, err := io.ReadAll(nonblockingEnd{p.fd})
	p.in = append(p.in, b...)
	if !p.greeted {
		if _, rest, ok := strings.Cut(string(p.in), "\r\n"); ok {
			p.greeted, p.in = true, []byte(rest)
		}
	}
	for p.greeted {
		size, e := frame(p.in)
		if e != nil {
			p.c.t.Fatalf("client %d got %q", p.number, p.in)
		}
		if size == 0 || size > uint64(len(p.in)) {
			break
		}
		m, e := codec(p.in[:size], nil)
		if e != nil || m.Type != dbus.TypeMethodReply {
			p.c.t.Fatalf("client %d got %v, %v", p.number, m, e)
		}
		p.asked[field[uint32](m, dbus.FieldReplySerial)] = true
		p.in = p.in[size:]
	}
	if err == errHungUp {
		if p.begun && !p.sloppy && !p.risks {
			p.c.t.Errorf("client %d lost its connection", p.number)
		}
		for serial, answered := range p.asked {
			if !answered {
				p.lost++
				delete(p.asked, serial)
			}
		}
		unix.Close(p.fd)
		p.connect()
	}
}

// write sends calls, some with a descriptor, some in two parts.
func (p *caller) write() {
	if len(p.unsent) > 0 {
		put(p.c.t, p.fd, string(p.unsent))
		p.unsent = nil
		return
	}
	if !p.greeted {
		return
	}
	var out []byte
	if !p.begun {
		p.begun, out = true, []byte("BEGIN\r\n")
	}
	var oob []byte // belongs to the first byte of a message
	for range 1 + p.c.random.IntN(3) {
		p.serial++
		p.asked[p.serial] = false
		name := fmt.Sprint(p.number, "-", p.serial)
		member, args := "EmitEvent", []any{name, []string{}, true}
		if p.c.random.IntN(4) == 0 && len(out) == 0 {
			oob, member, args = unix.UnixRights(0), "EmitEventWithFile", append(args, dbus.UnixFD(0))
			p.risks = p.risks || !peeksRights
		}
		out = append(out, message(p.c.t, p.serial, member, args...)...)
	}
	n := len(out)
	if p.sloppy && p.c.random.IntN(3) == 0 {
		n = p.c.random.IntN(n-1) + 1
	}
	if err := unix.Sendmsg(p.fd, out[:n], oob, nil, unix.MSG_NOSIGNAL); err != nil && err != unix.EPIPE {
		p.c.t.Fatal(err)
	}
	p.unsent = out[n:]
}

// Every call of a client that writes whole messages is told once and
// answered, wherever the server dies.
func TestServerDiesAtAnyMoment(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { walkCrashes(t, seed) })
	}
}

func walkCrashes(t *testing.T, seed uint64) {
	before := openFiles()
	c := &crashes{t: t, poll: &pollPoller{watches: map[int]*watch{}}, keep: newShelf(t),
		random: rand.New(rand.NewPCG(seed, 1)), known: map[uint64]bool{}}
	c.keep.die, c.mortal = c.mayDie, true
	c.begin()
	var clients []*caller
	for i := range 4 {
		p := &caller{c: c, number: i, sloppy: i%2 == 0, asked: map[uint32]bool{}}
		p.connect()
		clients = append(clients, p)
	}
	for range 200 {
		p := clients[c.random.IntN(len(clients))]
		switch c.random.IntN(3) {
		case 0:
			p.read()
		case 1:
			p.write()
		default:
			c.turn()
		}
	}
	c.mortal = false
	for i := range 20 {
		for _, p := range clients {
			p.read()
			if len(p.unsent) > 0 {
				p.write()
			}
		}
		c.turn()
		if i == 10 { // who is through the handshake has no end of it to meet
			c.clock += handshakeTime
			c.Tick(c.clock)
		}
	}
	if c.deaths == 0 {
		t.Error("it never died")
	}
	for _, p := range clients {
		for serial, answered := range p.asked {
			if !answered {
				t.Errorf("client %d: call %d has no answer", p.number, serial)
			}
		}
		unix.Close(p.fd)
	}
	for range 3 {
		c.turn()
	}
	if len(c.conns) > 0 || len(c.keep.files) > 0 || len(c.poll.watches) > 0 {
		t.Errorf("left: %d connections, %v", len(c.conns), c.keep.files)
	}
	if after := openFiles(); after != before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

func openFiles() (n int) {
	for fd := range 4096 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

var errHungUp = errors.New("hung up")

// nonblockingEnd reads what is there, and tells apart nothing and the end.
type nonblockingEnd struct{ fd int }

func (r nonblockingEnd) Read(b []byte) (int, error) {
	n, err := unix.Read(r.fd, b)
	switch {
	case err == unix.EAGAIN:
		return 0, io.EOF
	case n == 0 || err == unix.ECONNRESET:
		return 0, errHungUp
	}
	return max(n, 0), err
}

// A connection is not kept while a crash would tear it, and is again after.
func TestTornConnectionsAreNotKept(t *testing.T) {
	keep := newShelf(t)
	w := newWorld(t, func(w *world) { w.o.Keep, w.scratch = keep, make([]byte, 4096) })
	kept := func() (names []string) {
		w.within(func() {
			for name := range keep.files {
				names = append(names, name)
			}
		})
		return names
	}
	fd := w.raw()
	put(t, fd, hello[:len(hello)-len("BEGIN\r\n")])
	answers(t, fd, "AGREE_UNIX_FD\r\n")
	if got := fmt.Sprint(kept()); got != "[auth 1]" {
		t.Errorf("after the greeting %s", got)
	}
	is := func(why, want string) {
		t.Helper()
		eventually(t, why, func() bool { return fmt.Sprint(kept()) == want })
	}
	put(t, fd, "BEGIN\r\n")
	is("open", "[conn 1]")
	text := call(t, "GetJobByName", "foo-bar")
	put(t, fd, text[:40])
	is("half a message in memory", "[]")
	put(t, fd, text[40:])
	is("the message is whole", "[conn 1]")
	answers(t, fd, "foo_2dbar")
	put(t, fd, call(t, "GetState"))
	is("half a reply in the socket", "[]")
	put(t, fd, call(t, "GetAllJobs"))
	answers(t, fd, "/jobs/a\x00")
	is("the reply is written", "[conn 1]")
	sent := 0
	const batch = 50
	for all := strings.Repeat(call(t, "GetAllJobs"), batch); sent < 10000 && len(kept()) > 0; sent += batch {
		put(t, fd, all)
	}
	is("the socket is full of replies", "[]")
	in := replies{fd: blocking(fd), b: make([]byte, 0, 1<<16)}
	for got := 0; got < sent; {
		n, err := in.read()
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	is("all replies are read", "[conn 1]")
	w.within(func() { w.conns[1].stream.fail(io.EOF) })
	if got := answers(t, fd, "EOF"); got != "EOF" {
		t.Errorf("got %q", got)
	}
	is("closed", "[]")
}

func TestKeeperThatRefuses(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.Keep, w.scratch = &shelf{full: true}, make([]byte, 4096) })
	for range 3 {
		if err := manager(w.dial()).Call("com.ubuntu.Upstart0_6.GetAllJobs", 0).Err; err != nil {
			t.Fatal(err)
		}
	}
	w.wantLog("will not survive a crash")
}

// After a crash a call may be answered twice.
func TestClientsIgnoreASecondReply(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.answer = func(who control.Caller, call control.Call) *control.Reply {
			r := echo(who, call)
			w.Respond(who.ID, who.Conn, *r)
			return r
		}
	})
	t.Run("godbus", func(t *testing.T) {
		c := w.dial()
		for range 10 {
			if err := manager(c).Call("com.ubuntu.Upstart0_6.GetAllJobs", 0).Err; err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("libdbus", func(t *testing.T) {
		wantText(t, run(t, program(t, "dbus-send"), "--peer="+w.address, "--print-reply", "--type=method_call",
			control.Root, "com.ubuntu.Upstart0_6.GetAllJobs"), "foo_2dbar")
	})
	t.Run("python", func(t *testing.T) {
		script := `
import dbus, dbus.connection, sys
i = dbus.Interface(dbus.connection.Connection(sys.argv[1]).get_object(object_path="/com/ubuntu/Upstart"), "com.ubuntu.Upstart0_6")
for n in range(10): i.GetAllJobs()
print("all", n)
`
		wantText(t, run(t, pythonWithDBus(t), "-c", script, w.address), "all 9")
	})
	t.Run("gdbus", func(t *testing.T) {
		wantText(t, run(t, program(t, "gdbus"), "introspect", "--recurse", "--address", w.address, "--dest", "com.ubuntu.Upstart",
			"--object-path", "/com/ubuntu"), "JobAdded")
	})
}

func TestWhatIsAdopted(t *testing.T) {
	var now time.Duration
	s := NewServer(&pollPoller{watches: map[int]*watch{}}, &crashes{}, Options{Keep: newShelf(t),
		Now: func() time.Duration { return now }, Logf: t.Logf})
	defer s.Close()
	ends := map[string]int{}
	adopt := func(name string, end int) uint64 {
		if end < 0 {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { posix.CloseAll(pair[:1]) })
			ends[name], end = pair[0], pair[1]
		}
		return s.AdoptStored(name, end, nil)
	}
	for name, want := range map[string]uint64{"listen": 0, "conn ": 0, "conn x": 0, "auth 0": 0, "conn 1073741824": 0,
		"conn 1073741823": 1<<30 - 1, "auth 6": 6} {
		if got := adopt(name, -1); got != want {
			t.Errorf("%q: got %d, want %d", name, got, want)
		}
	}
	// Its handshake was over: only the first name had not been dropped.
	if adopt("auth 5", -1) != 5 || adopt("conn 5", copyOf(t, s.conns[5].stream.fd)) != 5 {
		t.Error("a connection under both names is not adopted")
	}
	now += handshakeTime
	s.Tick(now)
	for name, want := range map[string]error{"auth 5": nil, "conn 1073741823": nil, "auth 6": errHungUp, "conn x": errHungUp} {
		if _, err := io.ReadAll(nonblockingEnd{ends[name]}); err != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}
