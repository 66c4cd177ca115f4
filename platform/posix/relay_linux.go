package posix

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/env"
)

// relaySize is at least that of the code of a relay.
const relaySize = 256

// relayVar is the variable that a relay fills in: it has room for a pid, and
// tells there where to report.
const relayVar = "LISTEN_PID="

// Relay returns a descriptor, close-on-exec, of a program that a process of a
// job executes first and that needs some microseconds where the exec stage
// needs milliseconds: it completes LISTEN_PID, of which only the process itself
// knows the value, and executes the program. It reports as the stage does. An
// error says that there is none here.
func Relay() (int, error) {
	if relayCode == nil {
		return -1, unix.ENOEXEC
	}
	fd, err := unix.MemfdCreate("relay", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("relay", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	if _, err = unix.Pwrite(fd, relayImage(), 0); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return DupOwn(fd)
}

// relayImage is the smallest file that the kernel executes (elf(5)): a segment
// that is the whole file, and a stack that is not to be executed.
func relayImage() []byte {
	const base, headers = 0x400000, 64 + 2*56
	const size = headers + relaySize
	const readable, writable, executable = 4, 2, 1
	machine := uint16(62) // EM_X86_64
	if runtime.GOARCH == "arm64" {
		machine = 183
	}
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, part := range []any{
		[]uint16{2, machine}, uint32(1), []uint64{base + headers, 64, 0}, uint32(0), []uint16{64, 56, 2, 0, 0, 0},
		[]uint32{1, readable | executable}, []uint64{0, base, base, size, size, 0x1000}, // PT_LOAD
		[]uint32{0x6474e551, readable | writable}, make([]uint64, 6), // PT_GNU_STACK
	} {
		binary.Write(&b, binary.LittleEndian, part)
	}
	b.Write(relayCode[:])
	return b.Bytes()
}

// Relay executes a relay as the process that attr describes, with the report
// behind its descriptors, and then the program of a path.
func (b *Birth) Relay(relay string, n *Newcomer, path string, attr *syscall.ProcAttr) (int, error) {
	report := len(attr.Files)
	at := []byte{0x80 | byte(report&0x7f), 0x80 | byte(report>>7)}
	vars := env.Table(attr.Env).Set(listenFDs(n.Spec.ListenNames), true).Set(listenNames(n.Spec.ListenNames), true)
	vars = slices.DeleteFunc(vars, func(v string) bool { return strings.HasPrefix(v, relayVar) })
	full := *attr
	full.Env = append([]string{relayVar + string(at) + "........"}, vars...)
	full.Files = append(slices.Clone(attr.Files), uintptr(b.report))
	return syscall.ForkExec(relay, append([]string{path}, n.Program.Argv...), &full)
}

// HasFormat reports whether the kernel knows what to do with a file: execvp(3)
// has the shell read others.
func HasFormat(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var head [4]byte
	n, _ := unix.Read(fd, head[:])
	return string(head[:max(n, 0)]) == "\x7fELF" || n > 2 && string(head[:2]) == "#!"
}
