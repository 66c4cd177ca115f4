// Package linux boots Linux machines by the scripts of vm/testdata and its own
// (package script).
//
// Every guest has the applets of busybox in /bin, /dev/console and /dev/null,
// and our init is in /sbin with initctl and its other names. The kernel is
// quiet, and what "append" says is added to its command line. The shell is
// busybox's, which prefers its own poweroff to ours.
package linux
