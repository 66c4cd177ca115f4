package keeper

import (
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// countAllocs is process 1 for the test of the loop's allocations: it is a
// keeper and its manager at once.
func countAllocs() int {
	const runs = 200
	k := &keeper{o: Options{room: 2}}
	must(k.open())
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(err)
	k.Manager, k.Socket, k.Life = 1<<30, int32(pair[0]), 1
	children := make([]int, runs+1)
	for i := range children {
		children[i], err = syscall.ForkExec(nothing[0], nothing, new(syscall.ProcAttr))
		must(err)
	}
	for _, pid := range children { // a turn that waited for the first may take two
		poll(func() bool { return k.child.wait(pid, false) })
	}
	c := &Client{socket: pair[1]}
	say := func(m message, fd int) {
		c.wire.out = m
		must(c.wire.send(c.socket, fd))
	}
	say(message{Kind: msgHello}, -1)
	file := file("x")
	deaths := 0
	turn := func() {
		k.pending.Or(1 << (unix.SIGHUP - 1))
		say(message{Kind: msgStore, Len: 4}, file)
		say(message{Kind: msgStore, Len: 5}, file)
		say(message{Kind: msgDrop, Len: 4}, -1)
		for begin := deaths; deaths == begin; runtime.Gosched() {
			k.wait()
			k.turn(0)
			for {
				fd, err := c.wire.receive(c.socket)
				if err != nil {
					break
				}
				closeFD(fd)
				if m := c.wire.in; m.Kind == msgEvent {
					if m.A != 0 {
						deaths++
					}
					say(message{Kind: msgAck, Seq: m.Seq}, -1)
				}
			}
		}
	}
	n := testing.AllocsPerRun(runs, turn)
	tell("allocs %v deaths %d", n, deaths)
	return 0
}

func TestLoopDoesNotAllocate(t *testing.T) {
	f := bootAs(t, "allocs", "")
	if got, want := f.until("allocs "), "0 deaths 201"; got != want {
		t.Errorf("allocs %s, want %s", got, want)
	}
}
