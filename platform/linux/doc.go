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
// is seized again. What cannot be known afterwards: whether a process was
// made by fork or by vfork, so one that was made meanwhile is told as Forked
// when its maker ends well; a fork that left the session of its maker, if
// there are no cgroups; without cgroups also the process of an unanswered
// spawn that died, or that overwrites its environment; and stops by signals
// other than that of expect stop, as only a parent hears of them.
//
// Everything belongs to one goroutine locked to its thread, which is the
// tracer of traced processes. Only Poller.Wake may be called from others. On
// other kernels the package is empty.
package linux
