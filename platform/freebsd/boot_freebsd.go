package freebsd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// runDir has what lives as long as a boot, the socket of init too.
const runDir = "/var/run"

// StartFirst gives process 1 what the kernel starts it without: a session with
// a login name, standard descriptors, PATH and TERM (init(8), vt(4)).
func StartFirst() {
	unix.Setsid()
	setLogin("root")
	posix.OpenConsole(false, func(string) {})
	os.Setenv("PATH", posix.JobPath)
	if os.Getenv("TERM") == "" {
		os.Setenv("TERM", "xterm")
	}
	os.Chdir("/")
}

// PrepareMachine does what the manager of process 1 does before anything else
// (UPSTART §8.2 steps 1-6, as far as there is a counterpart). What cannot be
// done is told to warn and left out. first is false if it was done since the
// machine started, and may have been undone on purpose.
func PrepareMachine(first bool, warn func(string)) {
	unix.Setsid()
	setLogin("root")
	unix.Umask(0o022) // jobs start with it
	try := func(what string, err error) {
		if err != nil {
			warn(what + ": " + err.Error())
		}
	}
	try("Unable to mount /dev filesystem", mount("devfs", "/dev"))
	posix.OpenConsole(first, warn)
	try("Unable to mount /dev/fd filesystem", mount("fdescfs", "/dev/fd"))
	if first {
		try("Unable to make the root file system writable", openRoot())
		try("Unable to make "+runDir+" writable", openRun(warn))
	}
	os.Setenv("PATH", posix.JobPath)
	os.Chdir("/")
}

// setLogin names the user of this session (setlogin(2)).
func setLogin(name string) {
	if p, err := unix.BytePtrFromString(name); err == nil {
		unix.Syscall(unix.SYS_SETLOGIN, uintptr(unsafe.Pointer(p)), 0, 0)
	}
}

// mount mounts a file system without device unless it is there already.
func mount(kind, dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	if unix.ByteSliceToString(fs.Fstypename[:]) == kind {
		return nil
	}
	return posix.Nmount(kind, dir, 0, "from", kind)
}

// openRoot makes the root file system, which the kernel mounts read-only,
// writable, unless fstab(5) has it read-only or checked: fsck(8) refuses one
// that is writable, so a job does both.
func openRoot() error {
	var fs unix.Statfs_t
	if err := unix.Statfs("/", &fs); err != nil || fs.Flags&unix.MNT_RDONLY == 0 {
		return err
	}
	if table, err := os.ReadFile("/etc/fstab"); err == nil && leftAlone(string(table)) {
		return nil
	}
	err := posix.Nmount(unix.ByteSliceToString(fs.Fstypename[:]), "/", unix.MNT_UPDATE,
		"from", unix.ByteSliceToString(fs.Mntfromname[:]), "noro", "")
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EOPNOTSUPP) { // a CD, which says so in one way or the other
		return nil
	}
	return err
}

// leftAlone reports whether a file system table leaves making the root
// writable to others.
func leftAlone(fstab string) bool {
	for line := range strings.Lines(fstab) {
		f := strings.Fields(line)
		if len(f) < 4 || f[1] != "/" || strings.HasPrefix(f[0], "#") {
			continue
		}
		readOnly := strings.Contains(","+f[3]+",", ",ro,")
		return readOnly || len(f) > 5 && f[5] != "0"
	}
	return false
}

// openRun mounts a file system in memory where the directory of run-time data
// is not writable.
func openRun(warn func(string)) error {
	err := os.MkdirAll(runDir, 0o755)
	if err == nil {
		err = unix.Access(runDir, unix.W_OK)
	}
	if !errors.Is(err, unix.EROFS) {
		return err
	}
	dir := runDir
	if _, err := os.Stat(runDir); err != nil {
		dir = "/var"
	}
	warn(dir + " is not writable, so it is in memory until it is mounted")
	hidden := directories(runDir)
	if err := posix.Nmount("tmpfs", dir, 0, "from", "tmpfs"); err != nil {
		return err
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return err
	}
	for _, d := range hidden {
		if err := d.make(); err != nil {
			return err
		}
	}
	return nil
}

// directory is one of those that programs count on in the directory of
// run-time data: a boot empties them, but leaves them (rc.d/cleanvar).
type directory struct {
	path     string
	mode     os.FileMode
	uid, gid int
}

// directories lists those below one, each after that it is in.
func directories(top string) (list []directory) {
	filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || path == top {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			st := info.Sys().(*syscall.Stat_t)
			list = append(list, directory{path, info.Mode(), int(st.Uid), int(st.Gid)})
		}
		return nil
	})
	return list
}

func (d *directory) make() error {
	err := os.Mkdir(d.path, 0o700)
	if err == nil {
		err = os.Chown(d.path, d.uid, d.gid)
	}
	if err == nil {
		err = os.Chmod(d.path, d.mode)
	}
	return err
}

// ConsoleShell is what to run on the console when nothing else can be; none
// where ttys(5) calls the console insecure, as init does not ask for root's
// password. The program is that of init_shell in the kernel's environment.
func ConsoleShell() []string {
	if table, err := os.ReadFile("/etc/ttys"); err == nil && insecure(string(table)) {
		return nil
	}
	shell := kernelVariable("init_shell")
	if shell == "" {
		shell = "/bin/sh"
	}
	return []string{shell}
}

// insecure reports whether a table of terminals has the console so.
func insecure(ttys string) bool {
	for line := range strings.Lines(ttys) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 && f[0] == "console" {
			return slices.Contains(f, "insecure")
		}
	}
	return false
}

// kernelVariable returns a variable of kenv(2), "" without it.
func kernelVariable(name string) string {
	const get = 0 // KENV_GET
	var value [unix.PathMax]byte
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return ""
	}
	n, _, errno := unix.Syscall6(unix.SYS_KENV, get, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&value[0])), uintptr(len(value)), 0, 0)
	if errno != 0 || n == 0 {
		return ""
	}
	return unix.ByteSliceToString(value[:])
}

// InContainer reports whether process 1 is another one's: in a jail.
func InContainer() bool {
	jailed, err := unix.SysctlUint32("security.jail.jailed")
	return err == nil && jailed != 0
}

// binary is where this program was when it started: the kernel forgets the
// name of a file that was replaced.
var binary, binaryErr = os.Executable()

// OwnBinary is the path of the running program as it was started, or the one
// that replaced it.
func OwnBinary() (string, error) { return binary, binaryErr }

// Upgraded reports whether the program of process 1 is another than this, or
// has lost its name.
func Upgraded() bool {
	const pathname = "kern.proc.pathname"
	own, err := unix.SysctlArgs(pathname, os.Getpid())
	if err != nil {
		return false
	}
	first, err := unix.SysctlArgs(pathname, 1)
	return err != nil || first != own
}
