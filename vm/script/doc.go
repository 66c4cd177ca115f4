// Package script is the language in which boots are written, one file a
// behaviour, each a machine of its own:
//
//	# Comments and empty lines mean nothing.
//	append debug                 more for the kernel, as the system takes it
//	memory 512                   in MiB
//	modules button virtio_net    of Linux, loaded before there is a shell
//	borrow /bin/udevadm          files of the host for a guest that is Linux, programs with their libraries
//	send echo $((1+1))           types the text and Return at the console
//	expect 30s ^2$               waits [10 s] for a match behind the last one
//	reject ^panic                fails if this is on the console by now
//	ctrl-alt-del                 presses the keys
//	power-button                 presses the button
//	plug usb-kbd                 gives the machine a device of QEMU's: driver[,property=value]...
//	unplug usb-kbd               takes it away, by its id or driver, and waits until it is gone
//	wake 3s                      waits until the guest sleeps, and wakes it 3 s after that
//	ends off                     waits for the end of the machine: off, reset, panic
//	-- /bin/tool 0755 --         a file of the guest, to the next such line
//	-- /lib/x 0644 base64 --     the same, of what this is the text of
//	-- /bin/ls -> busybox --     a symbolic link
//
// A machine of Linux takes devices on PCI, one of FreeBSD on USB. A disk that is
// plugged in with drive=disk is empty; a serial port goes nowhere with
// chardev=null.
//
// Patterns are regular expressions of package regexp with "^" and "$" at
// lines, so "^" tells output from the echo of what was typed. The console has
// no carriage returns. Time-outs are those of a fast machine (package vm).
//
// Process 1 is /init where the script has one, otherwise our init, built from
// this tree. Files beginning with Guest are every such guest's: a job "shell"
// that leaves a shell at the console on startup, and "pid JOB", which prints
// the process of a job. Each system adds commands that ask its kernel:
//
//	manager         the process of init that has the jobs
//	program PID     the file that a process executes, if it is still there
//	zombies         the number of dead processes that nobody has reaped
//	background N PROGRAM ARG...
//	                executes it after so many forks, of which each parent ends
//	batch           leaves a thousand orphans
//	overwrite PID   fills a megabyte of its code with illegal instructions
//	hunt            kills each manager at once, until killed itself
package script

import _ "embed"

// Guest has the files of every machine whose process 1 is our init.
//
//go:embed guest.txt
var Guest string

// Clients are the names of initctl in /sbin.
var Clients = []string{"start", "stop", "restart", "reload", "status", "emit", "telinit", "runlevel", "shutdown",
	"poweroff", "reboot", "halt"}
