//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tricks are how processes of a job try to be overlooked when it is stopped,
// and what the processes do that they leave behind. They are carried out by
// this test's binary.
var tricks map[string]func()

func init() {
	own := &syscall.SysProcAttr{Setsid: true}
	tricks = map[string]func(){
		"daemon":   func() { leave("middle", own) },
		"chroot":   func() { leave("rooted", own) },
		"detached": func() { traced(true) },
		"traced":   func() { traced(false) },
		"deaf":     func() { signal.Ignore(); leave("deaf child", own) },
		"groups":   func() { leave("hopper", &syscall.SysProcAttr{Setpgid: true}) },
		"renamed":  func() { rename(); leave("disguised", own) },
		"subgroup": func() { subgroup("below"); subgroup("further"); leave("leaf", own) },
		"nested": func() {
			leave("first", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID})
		},
		"vforks":  func() { leave("link 10", nil) },
		"stopped": func() { leave("stopping", own); stop() },
		"bomb":    func() { leave("fuse", nil) },
		"before":  func() {}, // what its pre-start does is the trick
		"quick":   func() { leave("leaf", own); os.Exit(0) },

		"middle":     func() { leave("leaf", own); os.Exit(0) },
		"leaf":       done,
		"rooted":     rooted,
		"deaf child": func() { signal.Ignore(); done() },
		"hopper":     hop,
		"disguised":  func() { rename(); done() },
		"first":      func() { leave("leaf", own) },
		"stopping":   func() { leave("at rest", nil); stop() },
		"at rest":    func() { done(); stop() },
		"fuse":       fuse,

		// These are of other tests.
		"noseccomp": noSeccomp,
		"noptrace":  noPtrace,
		"listener":  listener,
		"notifier":  notifier,
	}
}

// escape carries out the trick that the environment names.
func escape(name string) {
	if link, found := strings.CutPrefix(name, "link "); found {
		if n, _ := strconv.Atoi(link); n > 0 {
			leave(fmt.Sprint("link ", n-1), nil)
			os.Exit(0)
		}
		name = "leaf"
	}
	tricks[name]()
	select {}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// done tells the test that the trick has been carried out.
func done() { must(os.WriteFile(os.Getenv("ONSET_DONE"), nil, 0o600)) }

// leave starts a process that carries out another trick.
func leave(trick string, attr *syscall.SysProcAttr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "ONSET_ESCAPE="+trick)
	cmd.SysProcAttr = attr
	must(cmd.Start())
	return cmd
}

func stop() { must(syscall.Kill(os.Getpid(), syscall.SIGSTOP)) }

// traced starts a child that is traced, and lets go of it or never does.
func traced(detach bool) {
	runtime.LockOSThread() // the tracer is a thread
	cmd := leave("leaf", &syscall.SysProcAttr{Setsid: true, Ptrace: true})
	var status syscall.WaitStatus
	_, err := syscall.Wait4(cmd.Process.Pid, &status, 0, nil)
	must(err)
	if !detach {
		done()
		return
	}
	must(syscall.PtraceDetach(cmd.Process.Pid))
}

func rename() {
	must(unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&[]byte("kworker/0:0\x00")[0])), 0, 0, 0))
}

// rooted goes on below a root of its own.
func rooted() {
	file := os.Getenv("ONSET_DONE")
	must(syscall.Chroot(filepath.Dir(file)))
	must(os.Chdir("/"))
	must(os.WriteFile("/"+filepath.Base(file), nil, 0o600))
}

// hop leaves everything to another process all the time, which is in another
// group or session.
func hop() {
	done()
	time.Sleep(2 * time.Millisecond)
	leave("hopper", &syscall.SysProcAttr{Setsid: os.Getpid()%2 == 0, Setpgid: os.Getpid()%2 != 0})
	os.Exit(0)
}

// ownGroup is the folder of this process's cgroup.
func ownGroup() string {
	text, err := os.ReadFile("/proc/self/cgroup")
	must(err)
	_, group, _ := strings.Cut(strings.TrimSpace(string(text)), "0::")
	return filepath.Join("/sys/fs/cgroup", group)
}

// subgroup moves this process to a cgroup below its own.
func subgroup(name string) {
	dir := filepath.Join(ownGroup(), name)
	must(os.Mkdir(dir, 0o755))
	must(os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0))
}

// fuse fills its cgroup with processes and goes on doing so, up to a number.
func fuse() {
	const most = 40
	for ; ; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(ownGroup(), "cgroup.procs"))
		if strings.Count(string(text), "\n") < most {
			leave("fuse", nil)
		} else {
			done()
		}
	}
}

// denied are the system calls that a filter makes fail in place of what a
// kernel lacks.
type denied struct {
	call  uint32
	first int32 // the first argument, or -1 for any
	errno unix.Errno
}

// deny installs a filter for this process and those it starts.
func deny(calls ...denied) {
	var filter []unix.SockFilter
	for _, d := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}) // the call's number
		skip := uint8(1)
		if d.first >= 0 {
			skip = 3
		}
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: d.call, Jf: skip})
		if d.first >= 0 {
			filter = append(filter, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16}, // its first argument, of a little-endian machine
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(d.first), Jf: 1})
		}
		filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(d.errno)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		panic(errno)
	}
}

// become executes what the arguments name.
func become() {
	os.Unsetenv("ONSET_ESCAPE")
	path, err := exec.LookPath(os.Args[1])
	must(err)
	must(unix.Exec(path, os.Args[1:], os.Environ()))
}

func noSeccomp() {
	deny(denied{unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.EINVAL}, denied{unix.SYS_SECCOMP, -1, unix.ENOSYS})
	become()
}

func noPtrace() {
	deny(denied{unix.SYS_PTRACE, -1, unix.EPERM})
	become()
}

// listener listens once it has come so far.
func listener() {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Bind(fd, &unix.SockaddrUnix{})) // any address
	must(unix.Listen(fd, 1))
}

func notifier() {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	must(err)
	must(unix.Sendto(fd, []byte("READY=1"), 0, &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}))
}
