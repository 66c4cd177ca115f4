package posix

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenPTYIsCookedAndPrivate(t *testing.T) {
	master, slave, err := OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(master)
	defer unix.Close(slave)
	unix.Write(slave, []byte("a\n"))
	var b [16]byte
	n, err := unix.Read(master, b[:])
	if err != nil || string(b[:n]) != "a\r\n" {
		t.Errorf("read %q, %v, want a line with CR LF", b[:max(n, 0)], err)
	}
	if _, err := unix.Read(master, b[:]); err != unix.EAGAIN {
		t.Errorf("read of an empty terminal: %v, want EAGAIN", err)
	}
	for _, fd := range []int{master, slave} {
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is inherited", fd)
		}
	}
}
