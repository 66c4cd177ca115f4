package file

import (
	"path/filepath"
	"time"
)

const (
	// quiet is how long a file that was found has to stay as it is to count as
	// written.
	quiet = 100 * time.Millisecond
	// fresh is how long ago it was written at most.
	fresh = 2 * time.Second
)

// doubt is about a file that was found by a look at its directory, and that may
// have been closed before anybody watched. It is told as modified then, unless
// the kernel tells of closing first.
type doubt struct {
	dir   *directory
	name  string
	since time.Time
}

// doubt looks again, since a file may have been written after it was found and
// before writing was told of.
func (t *tracker) doubt(d *directory, name string) {
	e, now := d.known[name], look(filepath.Join(d.path, name))
	if now == nil || now.id != e.id {
		return
	}
	e.modified = now.modified
	if age := time.Since(time.Unix(0, e.modified)); now.content && age < fresh && age > -fresh {
		t.doubts[e] = &doubt{d, name, time.Now()}
	}
}

// settleDoubts tells of files that are quiet.
func (t *tracker) settleDoubts() {
	for e, in := range t.doubts {
		now := look(filepath.Join(in.dir.path, in.name))
		switch {
		case now == nil || now.id != e.id: // which will be told
			delete(t.doubts, e)
		case now.modified != e.modified:
			e.modified, in.since = now.modified, time.Now()
		case time.Since(in.since) >= quiet:
			delete(t.doubts, e)
			t.write(in.dir, in.name)
		}
	}
}
