package main

import (
	"errors"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// setPower ends the machine (reboot(2)) as reboot(8) of the base system does:
// TSTP keeps process 1 from starting anything more, and all others are killed,
// since the kernel takes the root file system away from under who still runs.
// The kernel writes what is not on disk, and stays halted where it cannot
// switch off.
func setPower(how power, argument string) error {
	const autoboot, halted, off = 0, 0x8, 0x4000 // RB_AUTOBOOT, RB_HALT, RB_POWEROFF
	if argument != "" {
		return errors.New("nothing can be handed to the firmware on this system")
	}
	howto := [...]uintptr{restart: autoboot, halt: halted, powerOff: off | halted}[how]
	signal.Ignore(unix.SIGHUP)             // comes when the leader of our session is killed
	if unix.Kill(1, unix.SIGTSTP) == nil { // not so in a jail
		unix.Kill(-1, unix.SIGKILL)
		defer unix.Kill(1, unix.SIGHUP)
	}
	_, _, errno := unix.Syscall(unix.SYS_REBOOT, howto, 0, 0)
	return errno // it returned
}

// shutdownProgram is what reboot, halt and poweroff leave their work to: this
// program, as /sbin/shutdown may be that of the base system.
func shutdownProgram() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "/sbin/shutdown"
}
