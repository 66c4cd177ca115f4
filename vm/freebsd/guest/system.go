//go:build freebsd

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func sleep(args []string) int {
	var total time.Duration
	for _, arg := range args {
		if last := arg[len(arg)-1]; last >= '0' && last <= '9' {
			arg += "s"
		}
		d, err := time.ParseDuration(arg)
		if err != nil {
			return fail("sleep", err)
		}
		total += d
	}
	time.Sleep(total)
	return 0
}

// killTool is kill [-s NAME | -NAME | -N] PID...
func killTool(args []string) int {
	sig := syscall.SIGTERM
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		name := args[0][1:]
		args = args[1:]
		if name == "s" && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		if name == "ABRT" {
			name = "IOT" // the other name of the number, which the table has
		}
		if n, err := strconv.Atoi(name); err == nil {
			sig = syscall.Signal(n)
		} else if sig = unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")); sig == 0 {
			return fail("kill", fmt.Errorf("no signal %q", name))
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	return each("kill", args, func(word string) error {
		pid, err := strconv.Atoi(word)
		if err == nil {
			if pid == os.Getpid() {
				dieOf(sig)
			}
			err = syscall.Kill(pid, sig)
		}
		if err != nil {
			return fmt.Errorf("%s: %v", word, err)
		}
		return nil
	})
}

// dieOf has a fault's signal end this process, as it ends one that is not Go's,
// which would report the fault and exit.
func dieOf(sig syscall.Signal) {
	if sig != unix.SIGABRT && sig != unix.SIGQUIT {
		return
	}
	var byDefault struct { // struct sigaction
		handler uintptr
		flags   int32
		mask    [4]uint32
	}
	syscall.Syscall(unix.SYS_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&byDefault)), 0)
}

func id(args []string) int {
	set, _ := flags(args, "")
	uid, gid := os.Geteuid(), os.Getegid()
	name, group := strconv.Itoa(uid), strconv.Itoa(gid)
	if set['n'] != "" {
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		if g, err := user.LookupGroupId(group); err == nil {
			group = g.Name
		}
	}
	groups, _ := os.Getgroups()
	switch {
	case set['u'] != "":
		fmt.Println(name)
	case set['g'] != "":
		fmt.Println(group)
	case set['G'] != "":
		fmt.Println(strings.Trim(fmt.Sprint(groups), "[]"))
	default:
		fmt.Printf("uid=%d gid=%d groups=%s\n", uid, gid, strings.Trim(fmt.Sprint(groups), "[]"))
	}
	return 0
}

// env prints the environment, or runs a program with more or less of it.
func env(args []string) int {
	environ := os.Environ()
	for len(args) > 0 && (args[0] == "-i" || strings.Contains(args[0], "=")) {
		if args[0] == "-i" {
			environ = nil
		} else {
			environ = append(environ, args[0])
		}
		args = args[1:]
	}
	if len(args) == 0 {
		for _, v := range environ {
			fmt.Println(v)
		}
		return 0
	}
	path, err := exec.LookPath(args[0])
	if err == nil {
		err = syscall.Exec(path, args, environ)
	}
	fail("env", err)
	return 127
}

func date(args []string) int {
	if len(args) > 0 && args[0] == "+%s" {
		fmt.Println(time.Now().Unix())
		return 0
	}
	fmt.Println(time.Now().Format(time.UnixDate))
	return 0
}

func uname(args []string) int {
	set, _ := flags(args, "")
	name := map[bool]string{true: "kern.osrelease", false: "kern.ostype"}[set['r'] != ""]
	return sysctl([]string{"-n", name})
}

func hostname([]string) int { return sysctl([]string{"-n", "kern.hostname"}) }

// sysctl prints values, and sets numbers: [-n] NAME[=VALUE]...
func sysctl(args []string) int {
	set, names := flags(args, "")
	return each("sysctl", names, func(word string) error {
		name, value, change := strings.Cut(word, "=")
		if change {
			n, err := strconv.ParseInt(value, 0, 64)
			if err != nil {
				return err
			}
			return setSysctl(name, uint32(n))
		}
		raw, err := unix.SysctlRaw(name)
		if err != nil {
			return fmt.Errorf("%s: %v", name, err)
		}
		text := strings.TrimRight(string(raw), "\x00")
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r > '~' }) || text == "" {
			switch len(raw) {
			case 4:
				text = strconv.Itoa(int(int32(binary.NativeEndian.Uint32(raw))))
			case 8:
				text = strconv.FormatInt(int64(binary.NativeEndian.Uint64(raw)), 10)
			}
		}
		if set['n'] == "" {
			text = name + ": " + text
		}
		fmt.Println(text)
		return nil
	})
}

// setSysctl sets a value of 32 bits by its name (sysctl(3), CTL_SYSCTL).
func setSysctl(name string, value uint32) error {
	query := []int32{0, 3}
	oid := make([]int32, 24)
	size := uintptr(len(oid)) * 4
	text := []byte(name)
	_, _, e := syscall.Syscall6(syscall.SYS___SYSCTL, uintptr(unsafe.Pointer(&query[0])), 2,
		uintptr(unsafe.Pointer(&oid[0])), uintptr(unsafe.Pointer(&size)), uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
	if e == 0 {
		_, _, e = syscall.Syscall6(syscall.SYS___SYSCTL, uintptr(unsafe.Pointer(&oid[0])), size/4, 0, 0,
			uintptr(unsafe.Pointer(&value)), 4)
	}
	if e != 0 {
		return fmt.Errorf("%s: %v", name, e)
	}
	return nil
}

// stty knows "cols N", "rows N", "size" and "sane"; "raw" and "echo" are no
// concern of these consoles.
func stty(args []string) int {
	size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return fail("stty", err)
	}
	for i := 0; i < len(args); i++ {
		var n int
		if i+1 < len(args) {
			n, _ = strconv.Atoi(args[i+1])
		}
		switch args[i] {
		case "cols", "columns":
			size.Col = uint16(n)
			i++
		case "rows":
			size.Row = uint16(n)
			i++
		case "size":
			fmt.Println(size.Row, size.Col)
		case "sane":
		default:
			return fail("stty", fmt.Errorf("unknown word %q", args[i]))
		}
	}
	return done("stty", unix.IoctlSetWinsize(0, unix.TIOCSWINSZ, size))
}

// mountTool lists what is mounted, or mounts: -t KIND [-o OPTION,...] FROM DIR.
func mountTool(args []string) int {
	set, rest := flags(args, "to")
	if len(rest) == 0 {
		n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
		if err != nil {
			return fail("mount", err)
		}
		list := make([]unix.Statfs_t, n+4)
		n, err = unix.Getfsstat(list, unix.MNT_NOWAIT)
		for _, fs := range list[:max(n, 0)] {
			fmt.Printf("%s on %s (%s)\n", text(fs.Mntfromname[:]), text(fs.Mntonname[:]), text(fs.Fstypename[:]))
		}
		return done("mount", err)
	}
	if len(rest) != 2 {
		return fail("mount", errors.New("usage: mount -t KIND FROM DIR"))
	}
	options := []string{"fstype", set['t'], "fspath", rest[1], "from", rest[0], "target", rest[0]}
	for o := range strings.SplitSeq(set['o'], ",") {
		if key, value, _ := strings.Cut(o, "="); key != "" {
			options = append(options, key, value)
		}
	}
	return done("mount", nmount(options...))
}

// nmount mounts by pairs of names and values (nmount(2)).
func nmount(pairs ...string) error {
	var iov []unix.Iovec
	for _, s := range pairs {
		b := append([]byte(s), 0)
		iov = append(iov, unix.Iovec{Base: &b[0], Len: uint64(len(b))})
	}
	if _, _, e := syscall.Syscall(unix.SYS_NMOUNT, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)), 0); e != 0 {
		return fmt.Errorf("%v: %v", pairs, e)
	}
	return nil
}

func umount(args []string) int {
	set, names := flags(args, "")
	return each("umount", names, func(name string) error {
		force := 0
		if set['f'] != "" {
			force = unix.MNT_FORCE
		}
		return unix.Unmount(name, force)
	})
}

func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

var priority = regexp.MustCompile(`(?m)^<\d+>`)

// messages is what the kernel remembers of what reached the console.
func messages() (string, error) {
	raw, err := unix.SysctlRaw("kern.msgbuf")
	if err != nil {
		return "", err
	}
	return priority.ReplaceAllString(strings.Trim(string(raw), "\x00"), ""), nil
}

func dmesg([]string) int {
	all, err := messages()
	fmt.Print(all)
	return done("dmesg", err)
}

// ifconfig is ifconfig NAME create|destroy|inet ADDRESS.
func ifconfig(args []string) int {
	if len(args) < 2 {
		return fail("ifconfig", errors.New("usage: ifconfig NAME create|destroy|inet ADDRESS"))
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("ifconfig", err)
	}
	defer unix.Close(fd)
	const addAlias = 0x8044692b // SIOCAIFADDR since FreeBSD 10
	var request uintptr
	var data [68]byte // struct ifreq, struct in_aliasreq: a name and room for more
	copy(data[:unix.IFNAMSIZ-1], args[0])
	switch {
	case len(args) == 2 && args[1] == "create":
		request = unix.SIOCIFCREATE
	case len(args) == 2 && args[1] == "destroy":
		request = unix.SIOCIFDESTROY
	case len(args) == 3 && args[1] == "inet":
		request = addAlias
		address, err := netip.ParseAddr(args[2])
		if err != nil || !address.Is4() {
			return fail("ifconfig", fmt.Errorf("no address: %q", args[2]))
		}
		of := data[unix.IFNAMSIZ:] // struct sockaddr_in
		of[0], of[1] = unix.SizeofSockaddrInet4, unix.AF_INET
		copy(of[4:], address.AsSlice())
	default:
		return fail("ifconfig", fmt.Errorf("cannot %q", args[1]))
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&data))); errno != 0 {
		return fail("ifconfig", errno)
	}
	return 0
}

// openConsole is for process 1, which the kernel gives nothing.
func openConsole() {
	for fd := range 3 {
		if f, err := syscall.Open("/dev/console", syscall.O_RDWR, 0); err == nil && f != fd {
			syscall.Dup2(f, fd)
			syscall.Close(f)
		}
	}
}

// boot is process 1 before init, on a root that cannot be written: it gives
// room in memory where scripts and init write, and executes init.
func boot(args []string) int {
	for _, dir := range []string{"/tmp", "/var", "/sbin"} {
		if err := inMemory(dir); err != nil {
			fail("boot", err)
		}
	}
	os.Chmod("/tmp", 0o1777)
	for fd := range 3 { // as the kernel leaves it to init
		syscall.CloseOnExec(fd)
	}
	return done("boot", syscall.Exec("/sbin/init", append([]string{"/sbin/init"}, args...), os.Environ()))
}

// inMemory puts a file system into memory over a folder, with what is there.
func inMemory(dir string) error {
	folder := os.DirFS(dir)
	held := map[string][]byte{}
	links := map[string]string{}
	var folders []string
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case entry.IsDir():
			folders = append(folders, name)
		case entry.Type() == fs.ModeSymlink:
			links[name], err = os.Readlink(filepath.Join(dir, name))
		default:
			held[name], err = fs.ReadFile(folder, name)
		}
		return err
	})
	if err == nil {
		err = nmount("fstype", "tmpfs", "fspath", dir)
	}
	for _, name := range folders {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	for name, target := range links {
		err = errors.Join(err, os.Symlink(target, filepath.Join(dir, name)))
	}
	for name, data := range held {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), data, 0o755))
	}
	return err
}
