package snapshot

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"onset/core/engine"
	"onset/core/loop"
)

var _ loop.Journal = (*Log)(nil)

// Log notes the inputs of an engine since a snapshot, and which effects were
// begun, in memory that may outlive the process.
//
// The memory begins with what the log is and the snapshot it belongs to.
// Then come records, each with its length and a checksum in front, and the
// length 0. A length is written last of all, so a record is there in full or
// not at all; and one word makes a log empty and that of another snapshot.
type Log struct {
	// Grow lets the log move to a larger buffer when it needs one;
	// otherwise the memory it was given is all there is.
	Grow bool

	buf  []byte
	end  int // of the last record
	seed uint32
	full bool

	c       codec
	scratch [len(messages)]any
	in      engine.Input
}

// The layout of a log. The head is a text, the version of the format in one
// byte, and what tells one snapshot from another in 64 bits.
const (
	logMagic   = "onsetlg"
	logHead    = 16
	recordHead = 8 // length and checksum, 32 bits each
)

// What a record notes.
const (
	noteInput = iota + 1 // that it is about to be stepped
	noteBegun            // the number of an effect of the last input
	noteSkip             // the last input was not stepped
	noteBad              // none of these; never written
)

var (
	order      = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	// ErrOtherSnapshot says that a log continues another snapshot.
	ErrOtherSnapshot = errors.New("the log belongs to another snapshot")
	errNoLog         = errors.New("cannot read log: it is none of a known format")
)

// NewLog returns an empty log in memory that it owns from then on. Its size
// is fixed; see Log.Grow. Reset must follow.
func NewLog(memory []byte) *Log { return &Log{buf: memory, full: true, c: codec{version: version}} }

// Reset makes the log empty and has it continue a snapshot from now on. Until
// then the log and the snapshot before are what counts, so the new snapshot is
// in memory of its own.
func (l *Log) Reset(snap []byte) {
	if l.full = !l.room(logHead + 4); l.full {
		return
	}
	base := identity(snap)
	l.seed, l.end = seed(base), logHead
	l.c.version = version
	copy(l.buf, logMagic)
	l.buf[len(logMagic)] = version
	order.PutUint64(l.buf[len(logMagic)+1:], base)
	order.PutUint32(l.buf[logHead:], 0)
}

// identity tells snapshots apart.
func identity(snap []byte) uint64 {
	return uint64(len(snap))<<32 | uint64(crc32.Checksum(snap, castagnoli))
}

// seed makes records of an older log in the same memory worthless.
func seed(base uint64) uint32 { return uint32(base) ^ uint32(base>>32) }

// Append notes an input that is about to be stepped.
func (l *Log) Append(in engine.Input) {
	c := l.begin(noteInput)
	l.in = in
	c.input(&l.in, l.scratch[:])
	l.in = engine.Input{}
	l.commit()
}

// Begin notes that the effect of that number is about to be carried out; see
// loop.Journal.
func (l *Log) Begin(k int) {
	num(l.begin(noteBegun), &k)
	l.commit()
}

// Remaining returns how many bytes of the memory are free.
func (l *Log) Remaining() int { return len(l.buf) - l.end }

// Full reports whether something could not be noted. Then nothing more is,
// until Reset, which should follow soon.
func (l *Log) Full() bool { return l.full }

// Bytes returns the memory of the log.
func (l *Log) Bytes() []byte { return l.buf }

func (c *codec) input(in *engine.Input, scratch []any) {
	c.clock(&in.Clock)
	variant(c, &in.Msg, messages[:], scratch)
}

// begin starts a record behind the last one, where it does not count yet.
func (l *Log) begin(note uint64) *codec {
	at := min(l.end+recordHead, len(l.buf))
	l.c.buf = l.buf[at:at]
	l.c.count(&note)
	return &l.c
}

// commit makes the record count.
func (l *Log) commit() {
	at, payload := l.end+recordHead, l.c.buf
	end := at + len(payload)
	l.full = l.full || !l.room(end+4)
	if l.c.buf = nil; l.full {
		return
	}
	copy(l.buf[at:], payload) // which is there already as a rule
	order.PutUint32(l.buf[end:], 0)
	order.PutUint32(l.buf[l.end+4:], l.sum(l.buf[at:end]))
	order.PutUint32(l.buf[l.end:], uint32(len(payload)))
	l.end = end
}

// room makes sure that the buffer has n bytes, if it can.
func (l *Log) room(n int) bool {
	if n > len(l.buf) && l.Grow {
		l.buf = append(l.buf, make([]byte, max(n, 4096))...)
		l.buf = l.buf[:cap(l.buf)]
	}
	return n <= len(l.buf)
}

func (l *Log) sum(payload []byte) uint32 {
	return crc32.Update(l.seed+uint32(l.end), castagnoli, payload)
}

// openLog finds the records of a log again, and tells its snapshot.
func openLog(memory []byte) (l *Log, base uint64, err error) {
	at := len(logMagic)
	if len(memory) < logHead || string(memory[:at]) != logMagic || memory[at] > version {
		return nil, 0, errNoLog
	}
	base = order.Uint64(memory[at+1:])
	l = &Log{buf: memory, end: logHead, seed: seed(base)}
	l.c.version = uint64(memory[at])
	return l, base, nil
}

// next returns the payload of the record at the end and goes behind it; it
// returns nil when there is none.
func (l *Log) next() []byte {
	rest := l.buf[l.end:]
	if len(rest) < recordHead {
		return nil
	}
	n := uint64(order.Uint32(rest))
	if n == 0 || n > uint64(len(rest)-recordHead) {
		return nil
	}
	payload := rest[recordHead : recordHead+n]
	if l.sum(payload) != order.Uint32(rest[4:]) {
		return nil
	}
	l.end += recordHead + int(n)
	return payload
}

// torn reports whether the end of the log is that of a record half written.
func (l *Log) torn() bool {
	for _, b := range l.buf[l.end:min(l.end+4, len(l.buf))] {
		if b != 0 {
			return true
		}
	}
	return false
}
