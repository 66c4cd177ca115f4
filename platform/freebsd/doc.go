// Package freebsd is the FreeBSD back end: kqueue, processes with the reaper
// of procctl(2), and the start-up of a machine.
//
// Processes are made as on Linux: by fork and exec in one sequence where that
// is enough, and else by the exec stage of package posix. What became of
// processes is told by Collect in the order in which wait6(2) tells it, except
// that the execution of a process always comes before its stops and its end.
//
// Everything belongs to one goroutine locked to its thread. Only Poller.Wake
// may be called from others. On other kernels the package is empty.
package freebsd
