package udev

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// udevd is what is known of whether one runs. Its socket is there while it does,
// and is left behind when it is killed: then its process is gone.
type udevd struct {
	dir     string // /run/udev
	notify  int    // an inotify descriptor
	watch   int    // its watch, of dir or of the parent of that
	process int    // a descriptor for the process; -1 if it is not known
	runs    bool
	asks    int // how often it will still be asked
}

// tries bounds how often a socket is tried that nobody listens at, yet, or that
// has too many clients.
const tries = 50

func watchUdevd(dir string) (*udevd, error) {
	u := &udevd{dir: dir, process: -1, watch: -1, asks: tries}
	var err error
	if u.notify, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return nil, fmt.Errorf("cannot make an inotify descriptor: %w", err)
	}
	u.follow()
	return u, nil
}

// follow watches the folder of udevd, or else the one where it will be.
func (u *udevd) follow() {
	const come = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ONLYDIR
	const leave = unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	watch, err := unix.InotifyAddWatch(u.notify, u.dir, come|leave)
	if err != nil {
		watch, err = unix.InotifyAddWatch(u.notify, filepath.Dir(u.dir), come)
		if late, again := unix.InotifyAddWatch(u.notify, u.dir, come|leave); again == nil { // it came in between
			watch, err = late, nil
		}
	}
	if err != nil {
		watch = -1
	}
	if u.watch >= 0 && u.watch != watch {
		unix.InotifyRmWatch(u.notify, uint32(u.watch))
	}
	u.watch = watch
}

// changed reads what happened in the watched folder, and reports whether it may
// be that udevd came or went.
func (u *udevd) changed() bool {
	buffer := make([]byte, 4096)
	changed := false
	for {
		n, err := unix.Read(u.notify, buffer)
		if err != nil || n <= 0 {
			break
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			mask, size := binary.NativeEndian.Uint32(rest[4:]), binary.NativeEndian.Uint32(rest[12:])
			name := rest[unix.SizeofInotifyEvent:min(len(rest), unix.SizeofInotifyEvent+int(size))]
			rest = rest[unix.SizeofInotifyEvent+len(name):]
			name, _, _ = bytes.Cut(name, []byte{0})
			changed = changed || string(name) == "control" || string(name) == filepath.Base(u.dir) ||
				mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_Q_OVERFLOW|unix.IN_IGNORED) != 0
		}
	}
	if changed {
		u.follow()
		u.asks = tries
	}
	return changed
}

// look finds out whether udevd runs.
func (u *udevd) look() {
	if u.process >= 0 {
		unix.Close(u.process)
		u.process = -1
	}
	pid, err := ask(filepath.Join(u.dir, "control"))
	u.runs = err == nil || err == unix.EAGAIN
	if err == unix.ECONNREFUSED || err == unix.EAGAIN {
		u.asks--
		return
	}
	if u.asks = 0; pid > 0 {
		if u.process, err = unix.PidfdOpen(pid, 0); err != nil {
			u.process = -1 // of another namespace, or an old kernel
		}
	}
}

// ask connects to the socket of udevd, which is all it is told, and returns its
// process, or 0 if that has none here.
func ask(name string) (pid int, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: name})
	if err != nil {
		return 0, err
	}
	if c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
		pid = int(c.Pid)
	}
	return pid, nil
}

func (u *udevd) close() {
	unix.Close(u.notify)
	if u.process >= 0 {
		unix.Close(u.process)
	}
}
