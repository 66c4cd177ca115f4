package vfork

import "unsafe"

// Call is a system call.
type Call struct {
	Number uintptr
	Args   [4]uintptr
}

// Table is what a child is to do.
type Table struct {
	Flags  uint64 // of clone3(2), beside those that Run sets
	Cgroup uint64 // descriptor, with CLONE_INTO_CGROUP
	Calls  []Call // until one fails; the last is execve
	PID    *byte  // nil, or where the child writes its pid: PIDRoom bytes, of which the last is 0

	kept          []unsafe.Pointer
	clone         cloneArgs
	all, own      uint64 // masks of signals: all, and the calling thread's
	failed, errno uint64 // call that failed, from 1
}

// cloneArgs is clone_args of linux/sched.h.
type cloneArgs [cloneSize / 8]uint64

// Fields of cloneArgs that are not 0, of which the last came with Linux 5.7.
const (
	cloneFlags  = 0
	cloneSignal = 4
	cloneCgroup = 10

	cloneSize = 88
)

const (
	cloneVM           = 0x100
	cloneVfork        = 0x4000
	cloneClearSighand = 0x100000000
	sigchld           = 17
)

// Limit is the limit on descriptors, soft and hard, that this process was
// started with; 0 where that is not known.
var Limit = descriptors()

func descriptors() (l [2]uint64) {
	limit := new([2]uint64)
	getLimit(limit)
	return *limit
}

// Add adds a call.
func (t *Table) Add(number uintptr, args ...uintptr) {
	c := Call{Number: number}
	copy(c.Args[:], args)
	t.Calls = append(t.Calls, c)
}

// Address is an argument. What p points to is on the heap because of this, and
// stays as long as the table.
func (t *Table) Address(p unsafe.Pointer) uintptr {
	t.kept = append(t.kept, p)
	return uintptr(p)
}

// Mask is the address of the mask of signals, 8 bytes, of the thread that calls Run.
func (t *Table) Mask() uintptr { return uintptr(unsafe.Pointer(&t.own)) }

// Run makes the child and returns when it has executed a program or is gone.
// Then failed is the number of the call that failed, from 1, and the child is to
// be reaped; 0 is clone3 itself.
func (t *Table) Run() (pid, failed int, errno uintptr) {
	t.clone = cloneArgs{cloneFlags: t.Flags | cloneVM | cloneVfork | cloneClearSighand, cloneSignal: sigchld, cloneCgroup: t.Cgroup}
	t.all, t.failed, t.errno = ^uint64(0), 0, 0
	pid = run(t) // which keeps t
	if pid < 0 {
		return 0, 0, uintptr(-pid)
	}
	return pid, int(t.failed), uintptr(t.errno)
}
