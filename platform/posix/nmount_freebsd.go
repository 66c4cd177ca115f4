package posix

import (
	"bytes"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// parameters are names with values as nmount(2) and jail_set(2) take them. The
// first is where the kernel says what it did not like.
type parameters struct {
	list    []unix.Iovec
	message [256]byte
	bad     error
}

func newParameters() *parameters {
	p := &parameters{}
	p.add("errmsg", p.message[:])
	return p
}

func (p *parameters) add(name string, value []byte) {
	key, err := unix.ByteSliceFromString(name)
	if err != nil {
		p.bad = err
		return
	}
	v := unix.Iovec{}
	if len(value) > 0 {
		v.Base = &value[0]
		v.SetLen(len(value))
	}
	k := unix.Iovec{Base: &key[0]}
	k.SetLen(len(key))
	p.list = append(p.list, k, v)
}

// flag adds a name that has no value.
func (p *parameters) flag(name string) { p.add(name, nil) }

func (p *parameters) string(name, value string) {
	b, err := unix.ByteSliceFromString(value)
	if err != nil {
		p.bad = err
		return
	}
	p.add(name, b)
}

func (p *parameters) int(name string, value int) {
	n := int32(value)
	p.add(name, (*[4]byte)(unsafe.Pointer(&n))[:])
}

// call makes a system call with the parameters. The error is that of the
// kernel, with its message if it gave one.
func (p *parameters) call(number, flags uintptr) (uintptr, error) {
	if p.bad != nil {
		return 0, p.bad
	}
	r, _, errno := unix.Syscall(number, uintptr(unsafe.Pointer(&p.list[0])), uintptr(len(p.list)), flags)
	if errno == 0 {
		return r, nil
	}
	if text, _, _ := bytes.Cut(p.message[:], []byte{0}); len(text) > 0 {
		return 0, &kernelError{string(text), errno}
	}
	return 0, errno
}

// kernelError is what the kernel says of its parameters.
type kernelError struct {
	text  string
	errno unix.Errno
}

func (e *kernelError) Error() string { return e.text + ": " + Strerror(e.errno) }

// Is compares the number.
func (e *kernelError) Is(target error) bool { return errors.Is(e.errno, target) }

// Nmount mounts a file system, or changes one that is mounted, with pairs of
// options of its type; a value may be empty. flags are those of mount(2).
func Nmount(fstype, at string, flags int, options ...string) error {
	p := newParameters()
	p.string("fstype", fstype)
	p.string("fspath", at)
	for i := 0; i+1 < len(options); i += 2 {
		if options[i+1] == "" {
			p.flag(options[i])
			continue
		}
		p.string(options[i], options[i+1])
	}
	_, err := p.call(unix.SYS_NMOUNT, uintptr(flags))
	return err
}
