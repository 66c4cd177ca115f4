// Package linux is the Linux back end: epoll, processes with ptrace and
// cgroups, and the start-up of a machine.
//
// Processes are made by fork and exec in one system-call sequence where the
// kernel's own attributes are enough (the fast path), and else by the exec
// stage of package posix. Both give the same process for the same spec. What
// became of processes is told by Collect in the order in which the kernel
// tells it, except that the execution of a process always comes before its
// stops and its end.
//
// Everything belongs to one goroutine locked to its thread, which is the
// tracer of traced processes. Only Poller.Wake may be called from others. On
// other kernels the package is empty.
package linux
