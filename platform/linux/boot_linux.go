package linux

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// PrepareMachine does what process 1 does before anything else (UPSTART §8.2
// steps 1-7): devices, file systems, console, environment. What cannot be
// done, in a container say, is told to warn and left out.
func PrepareMachine(resetConsole bool, warn func(string)) {
	unix.Setsid()
	unix.Umask(0o022) // jobs start with it
	for _, step := range machineSteps {
		if err := step.do(); err != nil {
			warn(step.what + ": " + err.Error())
		}
	}
	posix.OpenConsole(resetConsole, warn)
	os.Setenv("PATH", posix.JobPath)
	os.Chdir("/")
	unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) // refused in a container, where nothing is to be done
}

var machineSteps = []struct {
	what string
	do   func() error
}{
	{"Unable to mount /proc filesystem", func() error {
		return mount("proc", "/proc", unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOSUID, "")
	}},
	{"Unable to mount /sys filesystem", func() error {
		return mount("sysfs", "/sys", unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOSUID, "")
	}},
	{"Unable to mount /dev filesystem", mountDevices},
	{"Unable to mount /dev/pts filesystem", func() error {
		os.Mkdir("/dev/pts", 0o755)
		return mount("devpts", "/dev/pts", unix.MS_NOEXEC|unix.MS_NOSUID, "gid=5,mode=0620,ptmxmode=0666")
	}},
	{"Unable to make devices", makeDevices},
	{"Unable to share mounts with jobs", shareMounts},
	{"Unable to have the kernel keep all messages", keepMessages},
}

// shareMounts lets jobs with mounts of their own see what is mounted later.
// In a container that is for its maker to say.
func shareMounts() error {
	if InContainer() {
		return nil
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// keepMessages turns off the limit on the rate of messages in the kernel's
// log, which would drop what init says about many jobs at once. It belongs to
// the machine (admin-guide/sysctl/kernel, printk_devkmsg; since Linux 4.9).
func keepMessages() error {
	if InContainer() {
		return nil
	}
	err := os.WriteFile("/proc/sys/kernel/printk_devkmsg", []byte("on\n"), 0)
	if os.IsNotExist(err) || errors.Is(err, unix.EINVAL) { // older, or chosen on the kernel's command line
		return nil
	}
	return err
}

// mountDevices mounts devtmpfs unless /dev has what ptys need already.
func mountDevices() error {
	var st unix.Stat_t
	err := unix.Stat("/dev/ptmx", &st)
	ready := err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(5, 2)
	if fi, err := os.Stat("/dev/pts"); ready && err == nil && fi.IsDir() {
		return nil
	}
	return mount("devtmpfs", "/dev", unix.MS_NOEXEC|unix.MS_NOSUID, "")
}

// mount mounts a file system unless its directory is a mount point already.
func mount(kind, dir string, flags uintptr, data string) error {
	mounted, err := isMountPoint(dir)
	if err != nil || mounted {
		return err
	}
	return unix.Mount("none", dir, kind, flags, data)
}

// isMountPoint reports whether a directory lies on another device than its
// parent.
func isMountPoint(dir string) (bool, error) {
	var own, parent unix.Stat_t
	if err := unix.Stat(dir, &own); err != nil {
		return false, err
	}
	if err := unix.Stat(filepath.Dir(dir), &parent); err != nil {
		return false, err
	}
	return own.Dev != parent.Dev, nil
}

// machineOnly is the mode of devices that are the machine's alone.
const machineOnly = 0o600

var devices = []struct {
	path         string
	mode         uint32
	major, minor uint32
}{
	{"/dev/ptmx", 0o666, 5, 2}, {"/dev/null", 0o666, 1, 3}, {"/dev/tty", 0o666, 5, 0},
	{"/dev/console", machineOnly, 5, 1}, {"/dev/kmsg", machineOnly, 1, 11},
}

// makeDevices makes those that are not there; one that fails stops no other.
// In a container the console and the log would be those of the machine around
// it, which are for its maker to give.
func makeDevices() error {
	old := unix.Umask(0)
	defer unix.Umask(old)
	var failed []string
	var last error
	inside := InContainer()
	for _, d := range devices {
		if inside && d.mode == machineOnly {
			continue
		}
		err := unix.Mknod(d.path, unix.S_IFCHR|d.mode, int(unix.Mkdev(d.major, d.minor)))
		if err != nil && err != unix.EEXIST {
			failed, last = append(failed, d.path), err
		}
	}
	if last != nil {
		return fmt.Errorf("%s: %w", strings.Join(failed, ", "), last)
	}
	return nil
}

// AppArmorUsable applies the test of UPSTART §4.6.
func AppArmorUsable() bool {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err != nil || !strings.HasPrefix(string(enabled), "Y") {
		return false
	}
	fi, err := os.Stat("/sbin/apparmor_parser")
	if err != nil || !fi.Mode().IsRegular() || fi.Mode()&0o100 == 0 {
		return false
	}
	for _, path := range []string{"/run/container_type", "/rofs/etc/apparmor.d"} {
		if _, err := os.Stat(path); err == nil {
			return false
		}
	}
	return true
}

// InContainer reports whether process 1 of the machine is another one's: the
// number of the first PID namespace never changes (include/linux/proc_ns.h).
// Where /proc cannot tell, the machine's own process 1 could mount it.
func InContainer() bool {
	if os.Getenv("container") != "" {
		return true
	}
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		may, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0)
		return err == nil && may == 0
	}
	return name != "pid:[4026531836]"
}
