package keeper

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/snapshot"
	"onset/platform/posix"
)

// Memory is what a manager leaves its successor: two slots for snapshots and
// an input log. The log says which snapshot it goes on from, so one store in
// its head switches from one slot to the other; see snapshot.Log.Reset.
type Memory struct {
	Slots [2][]byte
	Log   []byte
	head  *memoryHead
}

// memoryHead is the beginning of the memory; its fields are as in state.
type memoryHead struct {
	Magic    uint64
	SlotSize uint64
	LogSize  uint64
	Current  uint64 // the slot that the log likely belongs to
	Lengths  [2]uint64
}

// logKept is how much of the log's memory, in bytes, is not given back.
const logKept = 64 << 10

const (
	memoryMagic = 0x312d6d6d65736e6f // "onsemm-1"
	memoryPage  = 4096
)

var (
	errBig    = errors.New("the snapshot is too large for the memory the keeper holds")
	errMemory = errors.New("the memory the keeper holds is of an unknown kind")

	// ErrEmpty says that no manager has kept a snapshot yet.
	ErrEmpty = errors.New("there is no snapshot yet")
)

// newMemory makes the file of a memory.
func newMemory(slot, log int) (fd int, err error) {
	slot, log = pages(slot), pages(log)
	if fd, err = posix.Memory("onset-memory", nil); err != nil {
		return -1, err
	}
	if err = unix.Ftruncate(fd, int64(memoryPage+2*slot+log)); err == nil {
		var head [24]byte
		binary.NativeEndian.PutUint64(head[0:], memoryMagic)
		binary.NativeEndian.PutUint64(head[8:], uint64(slot))
		binary.NativeEndian.PutUint64(head[16:], uint64(log))
		_, err = unix.Pwrite(fd, head[:], 0)
	}
	return fd, err
}

func pages(n int) int { return (n + memoryPage - 1) &^ (memoryPage - 1) }

// mapMemory maps a memory for the life of the process.
func mapMemory(fd int) (*Memory, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size < memoryPage || st.Size > 1<<40 {
		return nil, errMemory
	}
	mem, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	h := (*memoryHead)(unsafe.Pointer(&mem[0]))
	rest := mem[memoryPage:]
	n := uint64(len(rest))
	if h.Magic != memoryMagic || h.SlotSize > n/2 || h.LogSize != n-2*h.SlotSize {
		return nil, errMemory
	}
	s := h.SlotSize
	return &Memory{Slots: [2][]byte{rest[:s:s], rest[s : 2*s : 2*s]}, Log: rest[2*s:], head: h}, nil
}

// Current returns the slot, 0 or 1, of the snapshot the log goes on from.
func (m *Memory) Current() int { return int(atomic.LoadUint64(&m.head.Current) & 1) }

// Save replaces the snapshot and what the log, which is in Log, holds by a
// new snapshot, which write appends to the memory it gets; its length is
// returned. Up to one store, the old ones are what counts.
func (m *Memory) Save(log *snapshot.Log, write func(to []byte) []byte) (int, error) {
	slot := 1 - m.Current()
	n := len(write(m.Slots[slot][:0]))
	if n > len(m.Slots[slot]) { // it is elsewhere
		giveBack(m.Slots[slot])
		return n, errBig
	}
	atomic.StoreUint64(&m.head.Lengths[slot], uint64(n))
	log.Reset(m.Slots[slot][:n])
	atomic.StoreUint64(&m.head.Current, uint64(slot))
	giveBack(m.Slots[1-slot])
	giveBack(m.Log[min(logKept, len(m.Log)):])
	return n, nil
}

// Recover takes over from the manager before, out of the slot that the log
// belongs to, which is Current then. The log of the result is in Log. Without
// any snapshot it is ErrEmpty, and a manager starts from nothing.
func (m *Memory) Recover(poisoned bool) (*snapshot.Recovered, error) {
	if m.Log[0] == 0 { // it was never Reset
		return nil, ErrEmpty
	}
	err := error(snapshot.ErrOtherSnapshot)
	for i, slot := 0, m.Current(); i < 2 && err == snapshot.ErrOtherSnapshot; i, slot = i+1, 1-slot {
		n := atomic.LoadUint64(&m.head.Lengths[slot])
		if n == 0 || n > uint64(len(m.Slots[slot])) {
			continue
		}
		var r *snapshot.Recovered
		if r, err = snapshot.Recover(m.Slots[slot][:n], m.Log, poisoned); err == nil {
			atomic.StoreUint64(&m.head.Current, uint64(slot))
			return r, nil
		}
	}
	return nil, err
}
