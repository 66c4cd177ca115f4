package bus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/control"
)

func TestConnectionsOutliveTheServer(t *testing.T) {
	old := newWorld(t, nil)
	fd := old.raw()
	half := call(t, "GetJobByName", "foo-bar")
	put(t, fd, hello)
	answers(t, fd, "AGREE_UNIX_FD\r\n")
	// A call that waits, more output than the socket takes, half a call.
	old.within(func() {
		old.answer = func(who control.Caller, call control.Call) *control.Reply {
			if call.Method == control.GetAllJobs {
				return nil
			}
			return echo(who, call)
		}
	})
	put(t, fd, call(t, "GetAllJobs")+call(t, "GetState")+half[:30])
	eventually(t, "the calls are handled", func() bool { return len(old.handled()) == 2 })
	waiting := old.handled()[0].Caller

	var conns []Conn
	eventually(t, "half a call is read", func() bool {
		old.within(func() { conns = old.Handover() })
		return len(conns) == 1 && len(conns[0].In) == 30 && len(conns[0].Out) > 0
	})
	var err error
	if conns[0].FD, err = unix.Dup(conns[0].FD); err != nil {
		t.Fatal(err)
	}
	old.within(old.Server.Close)

	next := newWorld(t, nil)
	next.within(func() {
		err = next.Adopt(conns[0])
		next.Respond(waiting.ID, waiting.Conn, control.Reply{Values: []any{[]control.ObjectPath{"/answered/late"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, fd, half[30:])
	got := answers(t, fd, "/jobs/foo_2dbar\x00")
	if n := strings.Count(got, "x"); n != 1<<20 {
		t.Errorf("%d of %d bytes came", n, 1<<20)
	}
	if !strings.Contains(got, "/answered/late") {
		t.Error("the call that waited has no answer")
	}
	again := Conn{ID: conns[0].ID, FD: copyOf(t, fd)}
	next.within(func() { err = next.Adopt(again) })
	if err == nil {
		t.Error("adopted twice")
	}
}

func TestHandshakeGoesOnWithTheNextServer(t *testing.T) {
	old := newWorld(t, nil)
	fd := old.raw()
	accepted, begun, _ := strings.Cut(hello, "NEGOTIATE")
	begun = "NEGOTIATE" + begun
	put(t, fd, accepted+begun[:4])
	answers(t, fd, "\r\n")
	var conns []Conn
	eventually(t, "half a line is read", func() bool {
		old.within(func() { conns = old.Handover() })
		return len(conns) == 1 && string(conns[0].In) == begun[:4]
	})
	var err error
	if conns[0].FD, err = unix.Dup(conns[0].FD); err != nil {
		t.Fatal(err)
	}
	old.within(old.Server.Close)

	next := newWorld(t, nil)
	next.within(func() { err = next.Adopt(conns[0]) })
	if err != nil {
		t.Fatal(err)
	}
	put(t, fd, begun[4:]+call(t, "GetJobByName", "foo-bar"))
	answers(t, fd, "/jobs/foo_2dbar\x00")
}

// After a re-exec the keeper holds what it held, and no more in the end.
func TestKeeperOverAHandover(t *testing.T) {
	keep := newShelf(t)
	withKeeper := func(w *world) { w.o.Keep, w.scratch = keep, make([]byte, 4096) }
	old := newWorld(t, withKeeper)
	open, greeted := old.raw(), old.raw()
	put(t, open, hello+call(t, "GetAllJobs"))
	answers(t, open, "foo_2dbar")
	put(t, greeted, strings.TrimSuffix(hello, "BEGIN\r\n"))
	answers(t, greeted, "AGREE_UNIX_FD\r\n")
	var conns []Conn
	old.within(func() {
		conns = old.Handover()
		for i, c := range conns {
			conns[i].FD = copyOf(t, c.FD)
			old.poll.Remove(c.FD)
			unix.Close(c.FD)
		}
		clear(old.conns)
	})
	next := newWorld(t, withKeeper)
	held := func() (names string) {
		next.within(func() { names = fmt.Sprint(slices.Sorted(maps.Keys(keep.files))) })
		return names
	}
	for _, c := range conns {
		next.within(func() {
			if err := next.Adopt(c); err != nil {
				t.Error(err)
			}
		})
	}
	if got := held(); got != "[auth 2 conn 1]" {
		t.Errorf("held: %s", got)
	}
	put(t, greeted, "BEGIN\r\n"+call(t, "GetAllJobs"))
	answers(t, greeted, "foo_2dbar")
	if got := held(); got != "[conn 1 conn 2]" {
		t.Errorf("held: %s", got)
	}
}
