package posix

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// testBinary is this test's, which may be the only program of its machine.
var testBinary, _ = os.Executable()

// pathOf is where an open file can be executed: files have no other path here.
func pathOf(f *os.File) string { return f.Name() }

// probe makes this binary tell what it finds where it is started: the plan
// executes it with probeArg and one of probes, which gets what is behind.
const probeArg = "onset-probe"

func init() {
	if len(os.Args) < 3 || os.Args[1] != probeArg {
		return
	}
	fmt.Print(probes[os.Args[2]](os.Args[3:]))
	os.Exit(0)
}

var probes = map[string]func(args []string) string{
	"jail": func([]string) string {
		jailed, err := unix.SysctlUint32("security.jail.jailed")
		return said(fmt.Sprint(jailed), err)
	},
	"interfaces": probeInterfaces,
	"hostname": func(args []string) string {
		if len(args) > 0 {
			if err := setHostname(args[0]); err != nil {
				return err.Error()
			}
		}
		name, err := os.Hostname()
		return said(name, err)
	},
	"read": func(args []string) string {
		text, err := os.ReadFile(args[0])
		return said(string(text), err)
	},
	"write": func(args []string) string { return said("written", os.WriteFile(args[0], []byte("x"), 0o644)) },
	"list": func(args []string) string {
		entries, err := os.ReadDir(args[0])
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return said(strings.Join(names, " "), err)
	},
	"mode": func(args []string) string {
		info, err := os.Stat(args[0])
		if err != nil {
			return said("", err)
		}
		return info.Mode().String()
	},
	"mount": func(args []string) string { return said("mounted", Nmount("tmpfs", args[0], 0)) },
	"groups": func([]string) string {
		groups, err := unix.Getgroups()
		return said(fmt.Sprint(os.Getuid(), os.Getgid(), groups), err)
	},
	"processor": probeProcessor,
	"shm":       probeShm,
	"devices":   probeDevices,
	"protected": func([]string) string {
		const flags, protected = 368, 0x100000 // of struct kinfo_proc, P_PROTECTED
		k, err := unix.SysctlRaw("kern.proc.pid", os.Getpid())
		return said(fmt.Sprint(err == nil && binary.LittleEndian.Uint64(k[flags:])&protected != 0), err)
	},
}

func said(text string, err error) string {
	if err != nil {
		return Strerror(Underlying(err).(unix.Errno))
	}
	return text
}

func setHostname(name string) error {
	b := []byte(name)
	mib := [2]int32{1, 10} // CTL_KERN, KERN_HOSTNAME
	_, _, errno := unix.Syscall6(unix.SYS___SYSCTL, uintptr(unsafe.Pointer(&mib)), 2, 0, 0, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return errno
	}
	return nil
}

func probeInterfaces([]string) string {
	list, err := net.Interfaces()
	var lines []string
	for _, i := range list {
		addresses, _ := i.Addrs()
		lines = append(lines, fmt.Sprintf("%s %v %v", i.Name, i.Flags&net.FlagUp != 0, addresses))
	}
	return said(strings.Join(lines, "\n"), err)
}

// probeProcessor tells the processors and the class and priority of rtprio(2).
func probeProcessor([]string) string {
	var mask [128]byte
	errno := unix.ERANGE
	for size := 32; errno == unix.ERANGE && size <= len(mask); size *= 2 {
		_, _, errno = unix.Syscall6(unix.SYS_CPUSET_GETAFFINITY, 3, 2, ^uintptr(0), uintptr(size), uintptr(unsafe.Pointer(&mask)), 0)
	}
	var p [2]uint16
	unix.Syscall(unix.SYS_RTPRIO, 0, 0, uintptr(unsafe.Pointer(&p)))
	policy, _, _ := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	return fmt.Sprintf("%d %x rtprio %d %d policy %d", errno, mask[0], p[0], p[1], policy)
}

// probeShm attaches a System V segment.
func probeShm(args []string) string {
	id, err := strconv.Atoi(args[0])
	if err != nil {
		return err.Error()
	}
	if _, _, errno := unix.Syscall(unix.SYS_SHMAT, uintptr(id), 0, 0); errno != 0 {
		return Strerror(errno)
	}
	return "attached"
}

func probeDevices([]string) string {
	var names []string
	entries, err := os.ReadDir("/dev")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	null := os.WriteFile("/dev/null", []byte("x"), 0)
	return said(fmt.Sprint(strings.Join(names, " "), " ", null), err)
}

// probing are the arguments of a program that probes.
func probing(what string, args ...string) []string {
	return append([]string{testBinary, probeArg, what}, args...)
}

// ownRoot makes a folder whose way nobody but root can change, unlike that of
// temporary ones.
func ownRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/root", "onset")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
