package keeper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	selfExe   = "/proc/self/exe"
	cldExited = 1 // CLD_EXITED
)

// childInfo is the siginfo_t of a child (waitid(2)); the fields behind the
// third are aligned like a pointer.
type childInfo struct {
	signo, errno, what int32
	_                  [0]uintptr
	child              int32
	uid                uint32
	result             int32
	_                  [128]byte
}

func (c *childInfo) pid() int32    { return c.child }
func (c *childInfo) code() int32   { return c.what }
func (c *childInfo) status() int32 { return c.result }

// wait finds a dead child, any if pid is 0, and buries it if told to.
func (c *childInfo) wait(pid int, bury bool) bool {
	kind, options := unix.P_ALL, unix.WEXITED|unix.WNOHANG
	if pid != 0 {
		kind = unix.P_PID
	}
	if !bury {
		options |= unix.WNOWAIT
	}
	for {
		c.child = 0
		err := unix.Waitid(kind, pid, (*unix.Siginfo)(unsafe.Pointer(c)), options, nil)
		if err != unix.EINTR {
			return err == nil && c.child != 0
		}
	}
}

// reboot acts at once. In a PID namespace it ends the namespace.
func reboot(kind Reboot) error {
	how := map[Reboot]uint32{ // built only when there is nothing after it
		Restart:  unix.LINUX_REBOOT_CMD_RESTART,
		Halt:     unix.LINUX_REBOOT_CMD_HALT,
		PowerOff: unix.LINUX_REBOOT_CMD_POWER_OFF,
		Kexec:    unix.LINUX_REBOOT_CMD_KEXEC,
	}
	cmd, ok := how[kind]
	if !ok {
		return unix.EINVAL
	}
	return unix.Reboot(int(cmd))
}

// hold has no signal: reboot(8) asks init.
func (k *keeper) hold(uint64) {}

// giveBack frees shared memory, which is zero from then on.
func giveBack(mem []byte) {
	if len(mem) > 0 {
		unix.Madvise(mem, unix.MADV_REMOVE)
	}
}
