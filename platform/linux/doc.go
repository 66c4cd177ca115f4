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
// Namespaces. All pids are those of this process's namespace, whatever a job
// calls itself. Optional namespaces that cannot be had at birth are left out
// one by one, told by Options.Notice.
//
// Crashes. A manager that is killed loses no process: its successor finds
// what was started without an answer (Find), takes over the rest (Adopt) and
// hears of deaths from the keeper (Reaped). A traced process is seized while
// its exec stage waits, so the death of its tracer just lets it run, and it
// is seized again. What cannot be known afterwards: how many forks lead to a
// process that was made meanwhile; without cgroups also one that had left the
// session of its maker when that ended, and the process of an unanswered
// spawn that died, or that overwrites its environment; and stops by signals
// other than that of expect stop, as only a parent hears of them.
//
// Trees. With expect fork and daemon main is traced with all that it makes
// until Detach. Nothing is held: the trace only writes down who made whom, to
// count forks. Who goes on where main ended is found among what lives of its
// group, also when nothing is traced any more or may be.
//
// Everything belongs to one goroutine locked to its thread, which is the
// tracer of traced processes. Only Poller.Wake may be called from others. On
// other kernels the package is empty.
package linux
