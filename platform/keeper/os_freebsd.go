//go:build amd64 || arm64 || riscv64

package keeper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	selfExe   = "/proc/curproc/file"
	cldExited = 1 // CLD_EXITED

	// sys/wait.h, sys/reboot.h
	idPID      = 0
	idAll      = 7
	waitNoHang = 1
	waitNoWait = 8
	waitExited = 16
	rbAutoboot = 0
	rbHalt     = 0x8
	rbPowerOff = 0x4000
)

// childInfo is the siginfo_t of a child (wait6(2)).
type childInfo struct {
	signo, errno, what int32
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
	kind, options := idAll, waitExited|waitNoHang
	if pid != 0 {
		kind = idPID
	}
	if !bury {
		options |= waitNoWait
	}
	for {
		c.child = 0
		n, _, err := unix.Syscall6(unix.SYS_WAIT6, uintptr(kind), uintptr(pid), 0, uintptr(options), 0, uintptr(unsafe.Pointer(c)))
		if err != unix.EINTR {
			return err == 0 && n != 0
		}
	}
}

// reboot acts at once.
func reboot(kind Reboot) error {
	how, ok := map[Reboot]uintptr{Restart: rbAutoboot, Halt: rbHalt, PowerOff: rbPowerOff | rbHalt}[kind]
	if !ok {
		return unix.EINVAL
	}
	if _, _, err := unix.Syscall(unix.SYS_REBOOT, how, 0, 0); err != 0 {
		return err
	}
	return nil
}

// hold starts no manager in place of one that reboot(8) of the base system
// killed: it sends TSTP, kills everything and ends the machine itself; if that
// fails it sends HUP.
func (k *keeper) hold(signals uint64) {
	if signals&(1<<(unix.SIGTSTP-1)) != 0 {
		k.Held = 1
	}
	if signals&(1<<(unix.SIGHUP-1)) != 0 {
		k.Held = 0
	}
}

// giveBack frees shared memory where the kernel can; this one cannot.
func giveBack([]byte) {}
