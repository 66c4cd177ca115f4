package joblog

import (
	"cmp"
	"slices"
	"sync/atomic"
	"unsafe"
)

// ArenaSize is how much memory New is to be given, in bytes. It takes as much
// as is in use, and a little.
const ArenaSize = tableSize + chunks*chunkSize

const (
	chunks       = 1024
	chunkSize    = 32 << 10
	ordinarySize = 2 * readSize // of a chunk that is not in the arena
	tableSize    = 4096 + chunks*int(unsafe.Sizeof(header{}))
	arenaMagic   = 0x312d74756f736e6f // "onsout-1"
	warmMax      = 512 << 10          // bytes of memory that free chunks keep
	page         = 4096
	offsetBits   = 16 // of header.progress
)

// arena is where output is from the read of a pty until it is in a file, so
// that who maps the same memory after a death goes on with it. Each chunk is
// output for one file; without a free one, ordinary memory serves, and is
// lost with the process.
//
// A chunk has one writer at a time: the loop, or the goroutine that has its
// batch. Stores are made in this order, and each leaves something to go on
// from; that they are atomic keeps the compiler from changing the order:
//
//	take   order; the path; its length, with which the chunk is somebody's
//	read   the bytes, by the kernel; length
//	write  progress with the file's size; the file, by the kernel; progress
//	       with what the file has now
//	free   the path's length; zeros; order
//
// A chunk is zero behind its length, so what was read by one that died before
// it could note the length ends with the last byte that is not zero; only NULs
// at the very end of that read are lost. Of a write that was begun, what the
// file has from its size on is compared; where the path names another file by
// then, or none, all is written.
type arena struct {
	mem    []byte
	order  uint64
	warm   []*chunk // free
	warmed int      // bytes of those that have memory
	cold   []int    // free, without memory
	spare  []*chunk // free, ordinary memory
}

// header is what is noted of a chunk. They stand in a table: to look into a
// free chunk would take a page of memory.
type header struct {
	order    atomic.Uint64 // over all chunks; 0: zero and free
	progress atomic.Uint64 // bytes in the file or dropped; above: its size before a write that was begun, plus 1
	length   atomic.Uint32 // bytes of output
	path     atomic.Uint32 // bytes of the path, which is at the end; 0: nobody's
}

// chunk is output for one file.
type chunk struct {
	*header
	data  []byte // as much as there can be
	mem   []byte // with the path; nil: ordinary memory
	index int    // in the arena
	real  int    // bytes that have memory, about
}

// attach uses memory, all zero or that of an arena before, and returns what is
// not in files yet, in order. Without memory, all is ordinary. It reports
// whether the memory is of a kind it knows.
func (a *arena) attach(mem []byte) (left []*chunk, known bool) {
	if mem == nil {
		return nil, true
	}
	a.mem = mem
	magic := (*atomic.Uint64)(unsafe.Pointer(&mem[0]))
	fresh := magic.Load() == 0
	if known = fresh || magic.Load() == arenaMagic; !known {
		giveBack(mem)
	}
	for i := chunks - 1; i >= 0; i-- {
		if known && !fresh && a.header(i).order.Load() != 0 {
			if c := a.recover(i); c != nil {
				left = append(left, c)
				continue
			}
		}
		a.cold = append(a.cold, i)
	}
	magic.Store(arenaMagic)
	slices.SortFunc(left, func(a, b *chunk) int { return cmp.Compare(a.order.Load(), b.order.Load()) })
	return left, known
}

func (a *arena) header(i int) *header {
	return (*header)(unsafe.Pointer(&a.mem[4096+i*int(unsafe.Sizeof(header{}))]))
}

func (a *arena) chunk(i int) *chunk {
	return &chunk{header: a.header(i), mem: a.mem[tableSize+i*chunkSize:][:chunkSize:chunkSize], index: i}
}

// recover returns a chunk that another process left, or nil when nothing is in
// it, and then it is free.
func (a *arena) recover(i int) *chunk {
	c := a.chunk(i)
	a.order = max(a.order, c.order.Load())
	if n := int(c.path.Load()); n > 0 && n <= chunkSize-readSize && int(c.length.Load()) <= chunkSize-n {
		c.data = c.mem[:chunkSize-n]
		for end := min(c.size()+readSize, len(c.data)); end > c.size(); end-- {
			if c.data[end-1] != 0 {
				c.length.Store(uint32(end))
			}
		}
		if c.done() < c.size() {
			return c
		}
	}
	c.path.Store(0)
	giveBack(c.mem)
	c.order.Store(0)
	return nil
}

// take returns an empty chunk for the file at path.
func (a *arena) take(path string) *chunk {
	c := a.unused(len(path))
	if c.mem == nil {
		return c
	}
	a.order++
	c.order.Store(a.order)
	c.data = c.mem[:chunkSize-len(path)]
	copy(c.mem[len(c.data):], path)
	c.length.Store(0)
	c.progress.Store(0)
	c.path.Store(uint32(len(path)))
	return c
}

func (a *arena) unused(path int) (c *chunk) {
	if n := len(a.warm); n > 0 && path <= chunkSize-readSize {
		c, a.warm = a.warm[n-1], a.warm[:n-1]
		a.warmed -= c.real
	} else if n := len(a.cold); n > 0 && path <= chunkSize-readSize {
		c, a.cold = a.chunk(a.cold[n-1]), a.cold[:n-1]
	} else if n := len(a.spare); n > 0 {
		c, a.spare = a.spare[n-1], a.spare[:n-1]
	} else {
		c = &chunk{header: &header{}, data: make([]byte, ordinarySize)}
	}
	return c
}

// free takes back a chunk.
func (a *arena) free(c *chunk) {
	if c.mem == nil {
		c.length.Store(0)
		c.progress.Store(0)
		if len(a.spare) < 2*queueMax/ordinarySize {
			a.spare = append(a.spare, c)
		}
		return
	}
	c.path.Store(0)
	c.real = max(c.real, min(c.size()+2*page, chunkSize))
	if a.warmed+c.real <= warmMax || !givesBack {
		clear(c.data[:c.size()])
		clear(c.mem[len(c.data):])
		a.warm = append(a.warm, c)
		a.warmed += c.real
	} else {
		giveBack(c.mem)
		a.cold = append(a.cold, c.index)
	}
	c.order.Store(0)
}

// file returns which file a chunk of an arena is for.
func (c *chunk) file() string { return string(c.mem[len(c.data):]) }

func (c *chunk) size() int { return int(c.length.Load()) }

// done returns how much of the output nobody needs any more.
func (c *chunk) done() int { return int(c.progress.Load() & (1<<offsetBits - 1)) }

// output returns what is not in the file yet.
func (c *chunk) output() []byte { return c.data[min(c.done(), c.size()):c.size()] }

// space is where the next output goes; more tells how much that was.
func (c *chunk) space() []byte { return c.data[c.size():] }

func (c *chunk) more(n int) (output []byte) {
	c.length.Store(uint32(c.size() + n))
	return c.data[c.size()-n : c.size()]
}

// begin notes that the output is being added to a file that has size bytes.
func (c *chunk) begin(size int64) {
	c.progress.Store(uint64(c.done()) | uint64(size+1)<<offsetBits)
}

// begun returns the size of the file before a write of which nobody lived to
// tell how it ended.
func (c *chunk) begun() (size int64, ok bool) {
	size = int64(c.progress.Load()>>offsetBits) - 1
	return size, size >= 0
}

// took notes that n more bytes are in the file or dropped, and no write is
// going on.
func (c *chunk) took(n int) { c.progress.Store(uint64(c.done() + n)) }

// queue is output for a file, in order.
type queue struct {
	chunks []*chunk
	size   int // bytes
}

// memory is how many bytes a queue takes, about.
func (q *queue) memory() int { return q.size + len(q.chunks)*readSize }

// ordinary returns the output that is in ordinary memory.
func (q *queue) ordinary() (output []byte) {
	for _, c := range q.chunks {
		if c.mem == nil {
			output = append(output, c.output()...)
		}
	}
	return output
}

// drop forgets the first n bytes.
func (a *arena) drop(q *queue, n int) {
	q.size -= n
	for n > 0 {
		c := q.chunks[0]
		m := min(n, len(c.output()))
		c.took(m)
		if n -= m; len(c.output()) == 0 {
			a.free(c)
			q.chunks = q.chunks[1:]
		}
	}
}
