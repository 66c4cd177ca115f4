// Package linux boots Linux machines by short scripts, one file of testdata a
// behaviour, each a machine of its own:
//
//	# Comments and empty lines mean nothing.
//	append quiet                 more of the kernel command line
//	memory 512                   in MiB
//	send echo $((1+1))           types the text and Return at the console
//	expect 30s ^2$               waits [10 s] for a match behind the last one
//	reject ^panic                fails if this is on the console by now
//	ctrl-alt-del                 presses the keys
//	power-button                 presses the button
//	ends guest-shutdown          waits for the end of the machine, and why
//	-- /init 0755 --             a file of the guest, to the next such line
//	-- /bin/ls -> busybox --     a symbolic link
//
// Patterns are regular expressions of package regexp with "^" and "$" at
// lines, so "^" tells output from the echo of what was typed. The console has
// no carriage returns. Time-outs are those of a fast machine (package vm).
//
// Every guest has the applets of busybox in /bin, /dev/console and /dev/null.
// Process 1 is /init where the script has one. Otherwise it is our init, built
// from this tree, with initctl and its other names in /sbin, a job "shell"
// that leaves a shell at the console on startup, "pid JOB", which prints the
// process of a job, and "manager", which prints the process of init that has
// the jobs. The shell is busybox's, which prefers its own poweroff to ours.
package linux
