// Package initramfs writes cpio archives in the "newc" format, which Linux
// unpacks as its first root file system.
//
// An Archive holds one entry a path; adding a path again replaces it. Folders
// that lead to an entry are made as needed. Entries are written in the order
// of their paths, so a folder comes before what is in it, with owner root and
// time 0: the same entries give the same bytes. An Archive belongs to one
// goroutine.
package initramfs

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// The kinds of entries, as in st_mode.
const (
	kindFIFO    = 0o010000
	kindChar    = 0o020000
	kindDir     = 0o040000
	kindBlock   = 0o060000
	kindFile    = 0o100000
	kindSymlink = 0o120000

	permissions = 0o7777
)

type entry struct {
	mode         uint32
	data         []byte
	major, minor uint32
}

// Archive is a set of entries; the zero value is empty and ready to use.
type Archive struct {
	entries map[string]entry
}

// Dir adds a folder; mode holds permission bits alone, here and below.
func (a *Archive) Dir(name string, mode uint32) {
	a.add(name, entry{mode: kindDir | mode&permissions})
}

// File adds a regular file.
func (a *Archive) File(name string, mode uint32, data []byte) {
	a.add(name, entry{mode: kindFile | mode&permissions, data: data})
}

// Symlink adds a symbolic link to target.
func (a *Archive) Symlink(name, target string) {
	a.add(name, entry{mode: kindSymlink | 0o777, data: []byte(target)})
}

// CharDevice adds the node of a character device.
func (a *Archive) CharDevice(name string, mode, major, minor uint32) {
	a.add(name, entry{mode: kindChar | mode&permissions, major: major, minor: minor})
}

// BlockDevice adds the node of a block device.
func (a *Archive) BlockDevice(name string, mode, major, minor uint32) {
	a.add(name, entry{mode: kindBlock | mode&permissions, major: major, minor: minor})
}

// FIFO adds a named pipe.
func (a *Archive) FIFO(name string, mode uint32) {
	a.add(name, entry{mode: kindFIFO | mode&permissions})
}

func (a *Archive) add(name string, e entry) {
	if a.entries == nil {
		a.entries = map[string]entry{}
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return // the root is there already
	}
	a.entries[name] = e
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := a.entries[dir]; !ok {
			a.entries[dir] = entry{mode: kindDir | 0o755}
		}
	}
}

// Encode writes the archive. It fails on what the format cannot hold and
// where w does.
func (a *Archive) Encode(w io.Writer) error {
	out := &encoder{w: bufio.NewWriter(w)}
	for _, name := range slices.Sorted(maps.Keys(a.entries)) {
		if parent, ok := a.entries[path.Dir(name)]; ok && parent.mode&^permissions != kindDir {
			return fmt.Errorf("cannot put %q below what is no folder", name)
		}
		out.entry(name, a.entries[name])
	}
	out.inode = -1 // the trailer has inode 0
	out.entry("TRAILER!!!", entry{})
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

// encoder counts inodes and offsets, and keeps the first error.
type encoder struct {
	w      *bufio.Writer
	inode  int
	offset int
	err    error
}

func (e *encoder) entry(name string, n entry) {
	if uint64(len(n.data)) > 0xffffffff {
		e.err = fmt.Errorf("cannot store %q: larger than 4 GiB", name)
		return
	}
	e.inode++
	links := 1
	if n.mode&^permissions == kindDir {
		links = 2
	}
	e.bytes([]byte("070701"))
	for _, field := range []uint32{
		uint32(e.inode), n.mode, 0, 0, uint32(links), 0, uint32(len(n.data)),
		0, 0, n.major, n.minor, uint32(len(name) + 1), 0,
	} {
		e.bytes(fmt.Appendf(nil, "%08x", field))
	}
	e.bytes(append([]byte(name), 0))
	e.align()
	e.bytes(n.data)
	e.align()
}

func (e *encoder) bytes(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
		e.offset += len(b)
	}
}

func (e *encoder) align() {
	e.bytes(make([]byte, -e.offset&3))
}
