package sourcetest

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// Init is as much of init as a host of sources talks to: a private socket with
// jobs, events, facts and signals. Facts belong to a connection and end with
// it. An event or fact that came with a descriptor reads "… +file".
type Init struct {
	Address string

	t      testing.TB
	listen net.Listener
	mu     sync.Mutex
	jobs   map[string]map[string]dbus.Variant // by path
	conns  map[*peer]bool
	events []string
	facts  []held
	refuse bool
	hold   chan struct{} // calls wait until it is closed
	waited int           // calls that had to
}

// peer is a client.
type peer struct {
	init   *Init
	conn   *net.UnixConn
	mu     sync.Mutex // of writing
	serial uint32
}

// held is a fact and who asserted it.
type held struct {
	text string
	by   *peer
}

// same reports whether it is the same fact of the same client.
func (h held) same(o held) bool {
	return strings.TrimSuffix(h.text, withFile) == strings.TrimSuffix(o.text, withFile) && h.by == o.by
}

// NewInit returns an init without jobs, which ends with the test.
func NewInit(t testing.TB) *Init {
	t.Helper()
	i := &Init{t: t, jobs: map[string]map[string]dbus.Variant{}, conns: map[*peer]bool{}}
	name := filepath.Join(t.TempDir(), "init")
	i.Address = "unix:path=" + name
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	i.listen = l
	t.Cleanup(func() {
		i.listen.Close()
		i.Drop()
	})
	go i.accept()
	return i
}

func (i *Init) accept() {
	for {
		conn, err := i.listen.Accept()
		if err != nil {
			return
		}
		p := &peer{init: i, conn: conn.(*net.UnixConn)}
		i.mu.Lock()
		i.conns[p] = true
		i.mu.Unlock()
		go p.serve()
	}
}

// Drop ends all connections, and with them the facts.
func (i *Init) Drop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for p := range i.conns {
		p.conn.Close()
	}
}

// AwaitHeld waits until that many calls have had to wait.
func (i *Init) AwaitHeld(n int) {
	i.t.Helper()
	i.Await(fmt.Sprint(n, " calls that wait"), func([]string, []string) bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.waited >= n
	})
}

// Pause has calls wait until the function it returns is called.
func (i *Init) Pause() (resume func()) {
	hold := make(chan struct{})
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hold = hold
	return func() { close(hold) }
}

// SetJob makes a job, or replaces it. Conditions are start_on_expanded,
// stop_on_expanded and while, each as on D-Bus.
func (i *Init) SetJob(name string, conditions map[string][][]string) {
	props := map[string]dbus.Variant{}
	for key, rpn := range conditions {
		props[key] = dbus.MakeVariant(rpn)
	}
	i.mu.Lock()
	i.jobs[jobPath(name)] = props
	i.mu.Unlock()
	i.tell(control.SignalJobAdded, control.Root, dbus.ObjectPath(jobPath(name)))
}

// RemoveJob removes a job.
func (i *Init) RemoveJob(name string) {
	i.mu.Lock()
	delete(i.jobs, jobPath(name))
	i.mu.Unlock()
	i.tell(control.SignalJobRemoved, control.Root, dbus.ObjectPath(jobPath(name)))
}

// EventEmitted tells clients that an event is being handled.
func (i *Init) EventEmitted(name string, env ...string) {
	i.tell(control.SignalEventEmitted, control.Root, name, append([]string{}, env...))
}

// InstanceRemoved tells clients that a job has one instance less.
func (i *Init) InstanceRemoved(job string) {
	i.tell(control.SignalInstanceRemoved, jobPath(job), dbus.ObjectPath(jobPath(job)+"/_"))
}

func jobPath(name string) string { return control.Root + "/jobs/" + name }

// tell sends clients a signal.
func (i *Init) tell(id control.SignalID, path string, body ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for p := range i.conns {
		spec := control.Signals[id]
		p.send(dbus.TypeSignal, map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(path)),
			dbus.FieldInterface: dbus.MakeVariant(spec.Interface),
			dbus.FieldMember:    dbus.MakeVariant(spec.Name),
		}, body)
	}
}

// Await waits until what was emitted and what holds is as wanted.
func (i *Init) Await(what string, holds func(events, facts []string) bool) {
	i.t.Helper()
	for end := time.Now().Add(Patience); ; time.Sleep(time.Millisecond) {
		i.mu.Lock()
		events := slices.Clone(i.events)
		var facts []string
		for _, f := range i.facts {
			facts = append(facts, f.text)
		}
		i.mu.Unlock()
		if holds(events, facts) {
			return
		}
		if time.Now().After(end) {
			i.t.Fatalf("waited in vain for %s; events:\n%s\nfacts:\n%s", what, strings.Join(events, "\n"), strings.Join(facts, "\n"))
		}
	}
}

// serve talks to a client until it goes.
func (p *peer) serve() {
	files := &received{conn: p.conn}
	in := bufio.NewReader(files)
	err := p.authenticate(in)
	for err == nil {
		var m *dbus.Message
		if m, err = dbus.DecodeMessage(in); err == nil && m.Type == dbus.TypeMethodCall {
			p.answer(m, files)
		}
	}
	files.close(len(files.fds))
	p.conn.Close()
	p.init.mu.Lock()
	defer p.init.mu.Unlock()
	delete(p.init.conns, p)
	p.init.facts = slices.DeleteFunc(p.init.facts, func(f held) bool { return f.by == p })
}

func (p *peer) authenticate(in *bufio.Reader) error {
	if _, err := in.ReadByte(); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); {
		case word == "BEGIN":
			return nil
		case word == "AUTH" && rest == "":
			_, err = fmt.Fprint(p.conn, "REJECTED EXTERNAL\r\n")
		case word == "NEGOTIATE_UNIX_FD":
			_, err = fmt.Fprint(p.conn, "AGREE_UNIX_FD\r\n")
		default:
			_, err = fmt.Fprint(p.conn, "OK 00000000000000000000000000000000\r\n")
		}
		if err != nil {
			return err
		}
	}
}

// received reads a connection and has the descriptors that came, in order.
type received struct {
	conn *net.UnixConn
	fds  []int
	oob  [1 << 10]byte
}

func (r *received) Read(b []byte) (int, error) {
	n, oob, _, _, err := r.conn.ReadMsgUnix(b, r.oob[:])
	if err != nil || n == 0 {
		return 0, cmp.Or(err, io.EOF)
	}
	messages, err := syscall.ParseSocketControlMessage(r.oob[:oob])
	for _, m := range messages {
		var fds []int
		if fds, err = syscall.ParseUnixRights(&m); err != nil {
			break
		}
		r.fds = append(r.fds, fds...)
	}
	return n, err
}

// close closes the first n descriptors.
func (r *received) close(n int) {
	for _, fd := range r.fds[:n] {
		syscall.Close(fd)
	}
	r.fds = r.fds[n:]
}

func (p *peer) answer(m *dbus.Message, files *received) {
	p.init.mu.Lock()
	hold := p.init.hold
	if hold != nil {
		p.init.waited++
	}
	p.init.mu.Unlock()
	if hold != nil {
		<-hold
	}
	body, fault := p.do(m)
	if n, _ := m.Headers[dbus.FieldUnixFDs].Value().(uint32); n > 0 {
		if int(n) > len(files.fds) {
			p.init.t.Error("a call came without its descriptors")
			n = uint32(len(files.fds))
		}
		files.close(int(n))
	}
	headers := map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(m.Serial())}
	kind := dbus.TypeMethodReply
	if fault != "" {
		kind = dbus.TypeError
		headers[dbus.FieldErrorName] = dbus.MakeVariant(fault)
	}
	p.send(kind, headers, body)
}

// do does what a call asks for.
func (p *peer) do(m *dbus.Message) (body []any, fault string) {
	i := p.init
	i.mu.Lock()
	defer i.mu.Unlock()
	member, _ := m.Headers[dbus.FieldMember].Value().(string)
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	var text string
	if len(m.Body) >= 2 {
		name, _ := m.Body[0].(string)
		env, _ := m.Body[1].([]string)
		_, file := m.Headers[dbus.FieldUnixFDs]
		text = words(name, env, file)
	}
	switch member {
	case "GetAllJobs":
		paths := []dbus.ObjectPath{}
		for path := range i.jobs {
			paths = append(paths, dbus.ObjectPath(path))
		}
		return []any{paths}, ""
	case "GetAll":
		if props, ok := i.jobs[string(path)]; ok {
			return []any{props}, ""
		}
		return nil, "org.freedesktop.DBus.Error.UnknownMethod"
	case "EmitEvent", "EmitEventWithFile":
		i.events = append(i.events, text)
	case "AssertFact", "AssertFactWithFile":
		if i.refuse {
			return []any{"AccessDenied"}, "org.freedesktop.DBus.Error.AccessDenied"
		}
		at := slices.IndexFunc(i.facts, held{text, p}.same)
		if at < 0 {
			at, i.facts = len(i.facts), append(i.facts, held{})
		}
		i.facts[at] = held{text, p}
	case "RetractFact":
		i.facts = slices.DeleteFunc(i.facts, held{text, p}.same)
	default:
		i.t.Errorf("unexpected call %s", member)
	}
	return nil, ""
}

// Refuse has facts refused from now on, or no more.
func (i *Init) Refuse(refuse bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refuse = refuse
}

func (p *peer) send(kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, body []any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serial++; len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	m := &dbus.Message{Type: kind, Headers: headers, Body: body}
	var b bytes.Buffer
	err := m.EncodeTo(&b, binary.LittleEndian)
	if err == nil {
		binary.LittleEndian.PutUint32(b.Bytes()[8:], p.serial)
		_, err = p.conn.Write(b.Bytes())
	}
	if err != nil {
		p.conn.Close()
	}
}
