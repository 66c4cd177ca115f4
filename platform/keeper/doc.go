// Package keeper is the first process of a system or container, and the side
// of the manager that talks to it.
//
// The keeper starts the manager and starts it again whenever it dies. It
// reaps what falls to process 1, passes on the signals that process 1 gets,
// and holds what outlives a manager: the memory of snapshots and input log,
// which it never reads, and descriptors under names. It reads nothing but the
// manager's messages, has no map and allocates nothing once it is up, except
// to start a process.
//
// Order. Deaths and signals are events with consecutive numbers, kept in a
// ring until the manager says Ack. A manager gets them in that order, from
// the first that its predecessor did not acknowledge; so an event is lost by
// no death of a manager and comes twice only if it was not acknowledged.
// A process is reaped after its death is in the ring; while the ring is full
// the dead stay zombies. Signals of one kind that wait are one, as in a kernel.
// Children of a manager that dies are the keeper's from then on, which
// therefore tells of the death of every child but those it started itself.
//
// Neither side blocks for ever on the other. The keeper never waits for room
// in the socket; the manager waits for one second and then gets an error.
//
// Ownership. What the keeper knows is in shared memory of its own (state), so
// after a panic of its loop, or when told to, it executes itself and goes on
// where it was. Only signals that come in that moment may be lost (see
// reexec). A descriptor stored belongs to the keeper; the manager keeps
// its own copy.
//
// Concurrency. The keeper is one goroutine; a second only turns signals into
// bits and wakes the first. A Client belongs to one goroutine.
package keeper
