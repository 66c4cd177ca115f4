package power

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Codes of linux/input-event-codes.h.
const (
	typeSyn, typeKey, typeSwitch = 0, 1, 5

	synDropped = 3
	keyPower   = 116
	keySleep   = 142
	switchLid  = 0
)

// keyEvents are the events of the keys that are told.
var keyEvents = map[uint16]string{keyPower: "power-button", keySleep: "sleep-button"}

// lidState is that of the lid.
type lidState uint8

const (
	noLid lidState = iota // or one whose state is not known
	opened
	closed
)

// inputs are the input devices that have a lid or keys that are told. They
// belong to the goroutine of the teller.
type inputs struct {
	class, nodes string // folders: /sys/class/input, /dev/input
	open         map[string]*input
	logf         func(format string, args ...any)
	refused      map[string]bool // told that they cannot be opened
}

// input is such a device.
type input struct {
	name         string
	file         *os.File
	keys, hasLid bool // which it has that are told
	lid          lidState
}

// lid is open if no lid is closed.
func (in *inputs) lid() (state lidState) {
	for _, d := range in.open {
		state = max(state, d.lid)
	}
	return state
}

// scan opens devices that are new and has them read. What a device gives goes
// to got, and nil when it is gone.
func (in *inputs) scan(ctx context.Context, got func(d *input, b []byte)) {
	names, _ := filepath.Glob(filepath.Join(in.class, "event*"))
	for _, path := range names {
		name := filepath.Base(path)
		get := func(part string) string {
			b, _ := os.ReadFile(filepath.Join(path, "device", part))
			return strings.TrimSpace(string(b))
		}
		keys := has(get("capabilities/key"), keyPower) || has(get("capabilities/key"), keySleep)
		// The kernel notifies of its ACPI buttons too.
		keys = keys && !strings.HasSuffix(get("phys"), "/button/input0")
		lid := has(get("capabilities/sw"), switchLid)
		if in.open[name] != nil || !keys && !lid {
			continue
		}
		file, err := os.OpenFile(filepath.Join(in.nodes, name), os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			if !in.refused[name] {
				in.refused[name] = true
				in.logf("buttons or lid are not heard: %v", err)
			}
			continue
		}
		d := &input{name: name, file: file, keys: keys, hasLid: lid}
		d.choose()
		d.look()
		in.open[name] = d
		go d.read(ctx, got)
	}
}

// has reports whether a bit is in a bitmap of sysfs, which is words of the
// kernel's size, the highest first.
func has(bitmap string, bit int) bool {
	words := strings.Fields(bitmap)
	slices.Reverse(words)
	at := bit / strconv.IntSize
	if at >= len(words) {
		return false
	}
	word, _ := strconv.ParseUint(words[at], 16, 64)
	return word>>(bit%strconv.IntSize)&1 != 0
}

// read reads until the device or the context is gone.
func (d *input) read(ctx context.Context, got func(*input, []byte)) {
	defer context.AfterFunc(ctx, func() { d.file.Close() })()
	for {
		b := make([]byte, 16*inputEventSize)
		n, err := d.file.Read(b)
		if err != nil {
			got(d, nil)
			return
		}
		got(d, b[:n])
	}
}

// drop forgets a device.
func (in *inputs) drop(d *input) {
	d.file.Close()
	delete(in.open, d.name)
}

// take reads what a device gave: the events of its keys, and where its lid is
// now.
func (d *input) take(b []byte) (events []string) {
	for _, e := range parseInput(b) {
		switch {
		case e.kind == typeKey && d.keys && e.value == 1 && keyEvents[e.code] != "":
			events = append(events, keyEvents[e.code])
		case e.kind == typeSwitch && e.code == switchLid:
			d.setLid(e.value != 0)
		case e.kind == typeSyn && e.code == synDropped:
			d.look()
		}
	}
	return events
}

// inputEvent is the kernel's struct input_event, without its time.
type inputEvent struct {
	kind, code uint16
	value      int32
}

const inputEventSize = int(unsafe.Sizeof(unix.Timeval{})) + 8

func parseInput(b []byte) (list []inputEvent) {
	for ; len(b) >= inputEventSize; b = b[inputEventSize:] {
		e := b[inputEventSize-8:]
		list = append(list, inputEvent{binary.NativeEndian.Uint16(e), binary.NativeEndian.Uint16(e[2:]), int32(binary.NativeEndian.Uint32(e[4:]))})
	}
	return list
}

// Requests of linux/input.h, of architectures with the usual numbers.
const (
	getSwitch = 2<<30 | 8<<16 | 'E'<<8 | 0x1b  // EVIOCGSW(8)
	setMask   = 1<<30 | 16<<16 | 'E'<<8 | 0x93 // EVIOCSMASK
)

// choose has the kernel keep all other events of the device to itself: a
// keyboard would wake us at each key. A kernel before 4.4 cannot.
func (d *input) choose() {
	for kind, codes := range map[uint32][]int{typeSyn: {typeKey, typeSwitch}, typeKey: {keyPower, keySleep}, typeSwitch: {switchLid}} {
		var bits [32]byte
		for _, code := range codes {
			bits[code/8] |= 1 << (code % 8)
		}
		var pinned runtime.Pinner
		pinned.Pin(&bits)
		mask := struct { // struct input_mask; that of the kind 0 is of kinds
			kind, size uint32
			bits       uint64
		}{kind, uint32(len(bits)), uint64(uintptr(unsafe.Pointer(&bits)))}
		d.ioctl(setMask, unsafe.Pointer(&mask))
		pinned.Unpin()
	}
}

// look asks where the lid is.
func (d *input) look() {
	var bits [8]byte
	if d.hasLid && d.ioctl(getSwitch, unsafe.Pointer(&bits)) == 0 {
		d.setLid(bits[0]&(1<<switchLid) != 0)
	}
}

func (d *input) setLid(isClosed bool) {
	if d.lid = opened; isClosed {
		d.lid = closed
	}
}

func (d *input) ioctl(request uintptr, arg unsafe.Pointer) (errno unix.Errno) {
	conn, err := d.file.SyscallConn()
	if err != nil {
		return unix.EBADF
	}
	conn.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
	})
	return errno
}
