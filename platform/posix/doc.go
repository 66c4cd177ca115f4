// Package posix is what the back ends share: what a process of a job executes
// (UPSTART §4.1), users and groups, the exec stage, the ledger of children and who
// goes on for one that ended, pseudo terminals, the console, memory without a file.
//
// The exec stage is the own binary, executed again as "onset-exec" to set up
// what fork and exec alone cannot. It reads a Plan from one descriptor, does
// the steps of UPSTART §4.3 in order and becomes the program; a step that
// fails is reported on another descriptor, which is closed by the execution
// otherwise. Everything is prepared before limits and ids are set, so that a
// limit on memory strikes the program and not the stage.
//
// Namespaces come before everything that has a path (docs/ISOLATION.md). What
// belongs to the whole process, user, pid and time, it is born with: a Go
// program has threads, which the kernel does not let leave for those. Paths of
// bind and credentials are opened before the job's own root hides them; all
// other mounts are made after it, as the job sees them. On FreeBSD one jail stands
// for all of them, and what a job sees mounted is mounted from outside, before.
//
// Nothing here starts goroutines. Only a Ledger holds state, which is its back end's.
package posix
