package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// setPower ends the machine. It returns where that is not allowed to happen,
// as in a container.
func setPower(how power, argument string) error {
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_ON) // in case the machine stays at a prompt
	var err error
	switch {
	case how == halt:
		err = unix.Reboot(unix.LINUX_REBOOT_CMD_HALT)
	case how == powerOff:
		err = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	case argument != "":
		err = rebootTo(argument)
	default:
		err = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)
	return err
}

// rebootTo restarts with a word for the firmware.
func rebootTo(argument string) error {
	p, err := unix.BytePtrFromString(argument)
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2,
		unix.LINUX_REBOOT_CMD_RESTART2, uintptr(unsafe.Pointer(p)), 0, 0)
	if errno == 0 {
		return nil
	}
	return errno
}

// shutdownProgram is what reboot, halt and poweroff leave their work to.
func shutdownProgram() string { return "/sbin/shutdown" }
