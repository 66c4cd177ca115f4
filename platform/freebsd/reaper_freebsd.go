package freebsd

import (
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of procctl(2).
const (
	reapGetPIDs = 5
	reapKill    = 6
)

const killSubtree = 2 // REAPER_KILL_SUBTREE

// descendant is struct procctl_reaper_pidinfo.
type descendant struct {
	pid     int32
	subtree int32 // the child of the reaper that began it
	flags   uint32
	_       [15]uint32
}

const isReaper = 4 // REAPER_PIDINFO_REAPER

// reaperPIDs is struct procctl_reaper_pids.
type reaperPIDs struct {
	count uint32
	_     [15]uint32
	list  *descendant
}

// reaperKill is struct procctl_reaper_kill.
type reaperKill struct {
	signal  int32
	flags   uint32
	subtree int32
	killed  uint32
	failed  int32
	_       [15]uint32
}

func procctl(pid, command int, data unsafe.Pointer) unix.Errno {
	const byPID = 0 // P_PID
	_, _, errno := unix.Syscall6(unix.SYS_PROCCTL, byPID, uintptr(pid), uintptr(command), uintptr(data), 0, 0)
	return errno
}

// reaper asks what descends from reapers, into memory that it keeps.
type reaper struct{ list []descendant }

// descendants are those of a reaper, dead or alive, without those below
// another reaper.
func (r *reaper) descendants(pid int) []descendant {
	for {
		if len(r.list) == 0 {
			r.list = make([]descendant, 64)
		}
		clear(r.list)
		pids := reaperPIDs{count: uint32(len(r.list)), list: &r.list[0]}
		if procctl(pid, reapGetPIDs, unsafe.Pointer(&pids)) != 0 {
			return nil
		}
		n := slices.IndexFunc(r.list, func(d descendant) bool { return d.flags == 0 }) // REAPER_PIDINFO_VALID
		if n >= 0 {
			return r.list[:n]
		}
		r.list = make([]descendant, 2*len(r.list))
	}
}

// subtree are the processes, dead or alive, that come from a child of this
// process, itself among them.
func (r *reaper) subtree(root int) (pids []int) {
	for _, d := range r.descendants(os.Getpid()) {
		if int(d.subtree) == root {
			pids = append(pids, below(d)...)
		}
	}
	return pids
}

// below are a process and, if it is a reaper, all below it. Of one that ceased
// to be a reaper the kernel lists those of its own reaper, itself among them.
func below(d descendant) []int {
	pids := []int{int(d.pid)}
	if d.flags&isReaper == 0 {
		return pids
	}
	list := new(reaper).descendants(int(d.pid))
	if slices.ContainsFunc(list, func(other descendant) bool { return other.pid == d.pid }) {
		return pids
	}
	for _, d := range list {
		pids = append(pids, below(d)...)
	}
	return pids
}

// rootOf returns the child of this process that a descendant comes from, or 0.
func (r *reaper) rootOf(pid int) int {
	for _, d := range r.descendants(os.Getpid()) {
		if int(d.pid) == pid || d.flags&isReaper != 0 && slices.Contains(below(d), pid) {
			return int(d.subtree)
		}
	}
	return 0
}

// killTree signals what comes from a child of this process, whatever is
// forked meanwhile.
func killTree(root int, sig unix.Signal) {
	kill := reaperKill{signal: int32(sig), flags: killSubtree, subtree: int32(root)}
	procctl(os.Getpid(), reapKill, unsafe.Pointer(&kill))
}
