// Package vfork makes a process of Linux from a table of system calls that the
// parent prepared, in one function of assembly. The child runs no Go.
//
// What makes that safe: the child has the memory of its parent, whose thread
// sleeps in clone3(2) until the child has executed a program or is gone. Signals:
// all are blocked before the call, and CLONE_CLEAR_SIGHAND makes default those
// that have a handler, so none runs in the child and nothing is pushed onto the
// stack that both are on. Stack: the child neither calls nor returns, and has all
// it needs in registers, so the parent finds its return address. Threads: the child
// takes no lock; those that go on meanwhile are the parent's. Memory: the child writes
// to the table, and its pid into one string; the parent keeps both, and the
// heap does not move. Collector: it waits for this thread where it needs that, as
// for any function of assembly, and else does not touch what it marks. A parent
// that is killed meanwhile leaves its memory to the child.
//
// The package imports nothing, and its path comes before "syscall", so it is
// initialised first (Go specification, Program initialization): syscall raises the
// limit on descriptors and tells nobody what it was.
package vfork

// PIDRoom is what a pid takes while it is written; then it is followed by 0.
const PIDRoom = 24
