package manager

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// signWorld is a notifyWorld whose job has expect fd.
func newSignWorld(t *testing.T) (w *notifyWorld, child int) {
	t.Helper()
	w = newNotifyWorld(t)
	w.signs = map[uint64]*sign{}
	child, err := w.openSign(1, &job.Spec{Expect: job.Expect{Kind: job.ExpectFD, FD: 4}})
	if err != nil || child == 0 {
		t.Fatal(child, err)
	}
	t.Cleanup(func() { unix.Close(child) })
	return w, child
}

// crashSigns makes a manager that has what the keeper has of another.
func (w *notifyWorld) crashSigns() *notifyWorld {
	w.Helper()
	next := newNotifyWorld(w.T)
	next.signs = map[uint64]*sign{}
	var signs []sign
	for _, s := range w.signs {
		fd, err := unix.Dup(s.FD)
		stored, ok := storedSign(s.name(), fd)
		if err != nil || !ok || stored.Listen != s.Listen || stored.Address != s.Address {
			w.Fatal(s.name(), err)
		}
		signs = append(signs, stored)
	}
	next.adoptSigns(signs)
	return next
}

// turn waits a moment, and takes what was told.
func (w *notifyWorld) turn() (told int) {
	w.Helper()
	if err := w.k.Poller.Wait(time.Millisecond); err != nil {
		w.Fatal(err)
	}
	for _, m := range w.inbox {
		if m != (engine.Ready{Token: 1}) {
			w.Errorf("told %v", m)
		}
		told++
	}
	w.inbox = nil
	return told
}

func TestSignOverCrashes(t *testing.T) {
	w, child := newSignWorld(t)
	write := func(text string) {
		t.Helper()
		if _, err := unix.Write(child, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("not yet")
	if w.turn() != 0 {
		t.Error("ready without a newline")
	}
	w = w.crashSigns()
	for range 64 { // more than a pipe holds
		write(strings.Repeat("x", 4096))
		if w.turn() != 0 {
			t.Error("ready without a newline")
		}
		w.signsTaken()
	}
	write("now\nand more")
	for range 2 { // managers that die before the journal has it
		if w.turn() != 1 {
			t.Error("not ready")
		}
		w = w.crashSigns()
	}
	if w.turn() != 1 {
		t.Error("not ready")
	}
	if w.signsTaken(); len(w.signs) != 0 || w.turn() != 0 {
		t.Error("the pipe is not closed")
	}
}

func TestSignEnds(t *testing.T) {
	w, child := newSignWorld(t)
	unix.Write(child, []byte("half"))
	other, err := unix.Dup(child)
	if err != nil {
		t.Fatal(err)
	}
	null, _ := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err := unix.Dup3(null, child, unix.O_CLOEXEC); err != nil { // the child closed it
		t.Fatal(err)
	}
	unix.Close(null)
	for range 3 {
		w.turn()
		w.signsTaken()
	}
	if len(w.signs) != 1 {
		t.Error("closed while somebody may write")
	}
	unix.Close(other)
	for end := time.Now().Add(3 * time.Minute); len(w.signs) > 0; w.signsTaken() {
		if w.turn() != 0 || time.Now().After(end) {
			t.Fatal("ready, or not closed")
		}
	}
	again, err := w.openSign(1, &job.Spec{Expect: job.Expect{Kind: job.ExpectFD, FD: 4}})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(again)
	if w.releaseSign(1); len(w.signs) != 0 {
		t.Error("released and open")
	}
	if fd, err := w.openSign(1, &job.Spec{Slot: job.PreStart, Expect: job.Expect{Kind: job.ExpectFD, FD: 4}}); fd != 0 || err != nil {
		t.Errorf("pre-start gets %d, %v", fd, err)
	}
}

func TestSignNames(t *testing.T) {
	for _, s := range []sign{{Token: 7}, {Token: 1<<64 - 1, Listen: true, Address: "127.0.0.1:80"}, {Token: 1, Listen: true},
		{Token: 1, Listen: true, Address: "/a path"}} {
		if got, ok := storedSign(s.name(), 0); !ok || got != s || !ownName(s.name()) {
			t.Errorf("%+v became %+v by %q", s, got, s.name())
		}
	}
	for _, bad := range []string{"sign", "sign x", "sign -1", "log 1 /x", "sign 1x"} {
		if s, ok := storedSign(bad, 0); ok {
			t.Errorf("%q is %+v", bad, s)
		}
	}
	n := &notifySocket{Address: "/run/a b", Dev: 3, Ino: 1 << 63}
	if got, ok := storedNotifySocket(n.name(), 0); !ok || !reflect.DeepEqual(got, n) || !ownName(n.name()) {
		t.Errorf("%+v became %+v", n, got)
	}
}
