// Package freebsd is the FreeBSD back end: kqueue, processes with the reaper
// of procctl(2), jails and rctl(8), and the start-up of a machine.
//
// Processes are made as on Linux: by fork and exec in one sequence where that
// is enough, and else by the exec stage of package posix. What became of
// processes is told by Collect in the order in which wait6(2) tells it, except
// that the execution of a process always comes before its stops and its end.
//
// Groups. The manager is a reaper. All that comes from a child of it is the
// subtree of that child, also what is orphaned or below another reaper. Signals
// to whole trees, heirs, and Emptied go by that. When the manager dies the
// kernel forgets; each spawn is therefore born with a cpuset(2) number of its
// own, which children inherit, and a table of these numbers is in memory that the
// keeper holds. A process that has itself put in another cpuset is lost then, and
// one in a jail is known by its jail.
//
// Trees. With expect fork and daemon a queue of its own tells of main and all
// that it makes (NOTE_TRACK) until Detach, to count forks. Nothing is held or
// traced. The kernel does not order the execution of a process and the end of its maker if both
// come to be heard at once: an execution that came first may then count as one that came after.
//
// Crashes. A manager that is killed loses no process: its successor finds
// what was started without an answer (Find), takes over the rest (Adopt) and
// hears of deaths from the keeper (Reaped). What cannot be known afterwards: how
// many forks lead to a process that was made meanwhile, why an exec stage
// failed that another manager had started, and stops by signals other than that
// of expect stop, as only a parent hears of them.
//
// Everything belongs to one goroutine locked to its thread. Only Poller.Wake
// may be called from others. On other kernels the package is empty.
package freebsd
