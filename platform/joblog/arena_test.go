package joblog

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"onset/platform/posix"
)

// TestDeathOfAWriter has the process die at each step of adding "two" to a
// file that has "one": the next has it there once.
func TestDeathOfAWriter(t *testing.T) {
	write := func(path, text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.WriteString(text)
	}
	steps := []struct {
		name string
		step func(a *arena, c *chunk, path string)
		want string
	}{
		{"taken", func(*arena, *chunk, string) {}, "one"},
		{"read", func(_ *arena, c *chunk, _ string) { copy(c.space(), "two") }, "onetwo"},
		{"noted", func(_ *arena, c *chunk, _ string) { c.more(copy(c.space(), "two")) }, "onetwo"},
		{"read again", func(_ *arena, c *chunk, _ string) {
			c.more(copy(c.space(), "two"))
			copy(c.space(), "three")
		}, "onetwothree"},
		{"begun", func(_ *arena, c *chunk, _ string) {
			c.more(copy(c.space(), "two"))
			c.begin(3)
		}, "onetwo"},
		{"partly written", func(_ *arena, c *chunk, path string) {
			c.more(copy(c.space(), "two"))
			c.begin(3)
			write(path, "tw")
		}, "onetwo"},
		{"written", func(_ *arena, c *chunk, path string) {
			c.more(copy(c.space(), "two"))
			c.begin(3)
			write(path, "two")
		}, "onetwo"},
		{"partly refused", func(_ *arena, c *chunk, path string) {
			c.more(copy(c.space(), "two"))
			c.begin(3)
			write(path, "tw")
			c.took(2)
		}, "onetwo"},
		{"begun once more", func(_ *arena, c *chunk, path string) {
			c.more(copy(c.space(), "ooo"))
			c.begin(3)
			write(path, "oo")
			c.took(2)
			c.begin(5)
		}, "oneooo"},
		{"in another file", func(_ *arena, c *chunk, path string) {
			c.more(copy(c.space(), "two"))
			c.begin(3)
			write(path, "tw")
			os.Rename(path, path+".1")
		}, "two"},
		{"noted as written", func(_ *arena, c *chunk, path string) {
			c.more(copy(c.space(), "two"))
			c.begin(3)
			write(path, "two")
			c.took(3)
		}, "onetwo"},
		{"being freed", func(_ *arena, c *chunk, path string) {
			c.more(copy(c.space(), "two"))
			write(path, "two")
			c.took(3)
			c.path.Store(0)
			c.data[0] = 0
		}, "onetwo"},
		{"freed", func(a *arena, c *chunk, path string) {
			c.more(copy(c.space(), "two"))
			write(path, "two")
			c.took(3)
			a.free(c)
		}, "onetwo"},
		{"being taken", func(a *arena, c *chunk, _ string) {
			c.path.Store(0)
			copy(c.mem[chunkSize-20:], "half a path")
		}, "one"},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			mem := memory(t)
			b := newBenchOn(t, mem)
			if err := os.WriteFile(b.path("a.log"), []byte("one"), 0o600); err != nil {
				t.Fatal(err)
			}
			s.step(&b.arena, b.arena.take(b.path("a.log")), b.path("a.log"))
			for range 2 { // the second finds nothing to do
				b = b.dies(mem)
				mem = b.arena.mem
				b.until("all is written", func() bool { return !b.working() })
				b.wants("a.log", s.want)
				b.checkClean()
			}
		})
	}
}

// dies returns a bench for what this one leaves if it dies now: a copy of its
// memory, and its directory.
func (b *bench) dies(mem []byte) *bench {
	next := memory(b.t)
	copy(next, mem)
	after := &bench{t: b.t, p: newPoller(b.t), dir: b.dir}
	after.Logs = New(after.p, posix.OpenPTY, next, func(format string, args ...any) {
		after.said = append(after.said, fmt.Sprintf(format, args...))
	})
	b.t.Cleanup(after.Close)
	return after
}

// checkClean wants every free chunk to be zero.
func (b *bench) checkClean() {
	b.t.Helper()
	if n := len(b.arena.warm) + len(b.arena.cold); n != chunks {
		b.t.Errorf("%d chunks are free", n)
	}
	var zero [chunkSize]byte
	for i := range chunks {
		if !bytes.Equal(b.arena.chunk(i).mem, zero[:]) || b.arena.header(i).order.Load() != 0 {
			b.t.Errorf("free chunk %d is not zero", i)
		}
	}
}

// TestDeathBeforeADisk has the process die while no disk answers, with several
// chunks for each file.
func TestDeathBeforeADisk(t *testing.T) {
	mem := memory(t)
	b := newBenchOn(t, mem)
	hung := make(chan struct{})
	defer close(hung)
	b.writer.do = func(*batch) { <-hung }
	want := map[string]string{}
	for _, name := range []string{"a.log", "b.log"} {
		_, pty := b.spawn(name)
		for i := range 3000 {
			want[name] += fmt.Sprintf("%s: line %d, %s\r\n", name, i, strings.Repeat("x", i%50))
		}
		go pty.WriteString(strings.ReplaceAll(want[name], "\r\n", "\n"))
	}
	b.until("output", func() bool { return b.held == len(want["a.log"])+len(want["b.log"]) })
	after := b.dies(mem)
	for name, text := range want {
		after.wants(name, text)
	}
	after.until("rest", func() bool { return !after.working() })
	after.checkClean()
}

// TestArenaIsFull has more files with output than there are chunks.
func TestArenaIsFull(t *testing.T) {
	b := newBench(t)
	for i := range chunks + 3 {
		b.Restore(b.path(fmt.Sprintf("d/%d.log", i)), []byte("text"))
	}
	b.until("all is refused", func() bool { return !b.working() })
	ordinary := 0
	b.Unwritten(func(string, []byte) { ordinary++ })
	if ordinary != 3 {
		t.Errorf("%d files have output in ordinary memory", ordinary)
	}
	os.Mkdir(b.path("d"), 0o755)
	answered := false
	b.Flush(func(err error) { answered = err == nil })
	b.until("all is written", func() bool { return answered && !b.working() })
	for i := range chunks + 3 {
		b.wants(fmt.Sprintf("d/%d.log", i), "text")
	}
	b.checkClean()
}

// TestArenaOfAnUnknownKind has memory that another version left.
func TestArenaOfAnUnknownKind(t *testing.T) {
	mem := memory(t)
	for i := range mem {
		mem[i] = 'x'
	}
	b := newBenchOn(t, mem)
	b.saidOnce("unknown kind")
	b.checkClean()
}

// TestDamagedArena has headers that make no sense.
func TestDamagedArena(t *testing.T) {
	mem := memory(t)
	b := newBenchOn(t, mem)
	for i := range 64 {
		h := b.arena.header(i)
		h.order.Store(uint64(i + 1))
		h.path.Store(1 << (i % 32))
		h.length.Store(1 << 31 >> (i % 31))
		h.progress.Store(^uint64(0) >> i)
	}
	b = b.dies(mem)
	for _, f := range b.files {
		if len(f.path) > chunkSize || f.collected.size > chunkSize*len(f.collected.chunks) {
			t.Errorf("a file with %d bytes in its path and %d of output", len(f.path), f.collected.size)
		}
	}
}
