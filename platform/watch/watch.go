// Package watch reads configuration sources and notices when they change
// (UPSTART §1.1.3, §1.9).
//
// A source is a tree of job files, or init.conf with its override. It is
// walked in byte order of the names in each directory; symbolic and hard
// links are followed (DECISIONS 20). With notification every directory is
// watched before it is read, so nothing happens unseen between.
//
// What is told of a change is what the engine has to know, not what happened:
// a path that something happened to is looked at again and compared with what
// was told of it last. A file that is open for writing is loaded when it is
// closed: the notification library does not report that, so whether somebody
// still writes is asked of the kernel (see writers), at growing intervals; where
// it cannot tell, a file counts as closed when its last change is settled.
// A file moved or linked into place is complete and so is loaded at once.
// Text that is the same as before is not told again.
//
// A link whose target is elsewhere has the directory of the target, or the
// file itself, watched as well, and all links are looked at whenever anything
// happens. So are links on the way to a source: when they lead elsewhere, what
// differs is told. If the kernel lost notifications everything is looked at.
//
// A kqueue takes a descriptor for each file and directory. The notification
// library watches the files; directories have a queue of their own, because its
// watching of directories overlooks links (see barrier). When half of this process's
// descriptors are in use that way, sources are read when they are asked for.
//
// Order: Add returns what is there and takes back what Changes has not yet
// returned about that source. So the manager puts Changes in front of other
// messages of the same turn, and no older text comes after a newer one.
//
// Concurrency: a Watcher is used on the manager's loop goroutine. The one with
// notification has a goroutine that looks at files, so that a slow disk does
// not delay the loop, and calls wake when there are Changes.
package watch

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"onset/core/engine"
)

// Source is where configuration comes from.
type Source struct {
	Path    string // absolute
	Kind    engine.SourceKind
	Session string // chroot root; empty for the host
}

// Logf takes a warning.
type Logf func(format string, args ...any)

// Watcher reads sources and tells how they change.
type Watcher interface {
	// Add reads a source, and watches it from now on unless it is missing.
	// A source that was added before is read anew.
	Add(Source) engine.Source
	// Changes returns what has changed since the last call: FileChanged,
	// FileRemoved and SourceRemoved. It does not wait for a disk.
	Changes() []engine.Msg
	// Sync waits, for a tenth of a second at most, until Changes knows
	// what was done before Sync was called. So a client that installs a
	// job and starts it finds it.
	Sync()
	// Close ends the watching.
	Close()
}

// Load reads a source.
func Load(s Source, logf Logf) engine.Source {
	return newTree(s, nil).load(logf)
}

// None returns the Watcher of a kernel without notification, and of
// --no-watch: files are read when they are asked for (EXTENSIONS §10).
func None(logf Logf) Watcher { return none{logf: logf} }

type none struct {
	logf Logf
	why  error // to be told; nil if it is meant
}

func (n none) Add(s Source) engine.Source {
	if n.why != nil && !errors.Is(n.why, unix.ENOSYS) {
		n.logf("%s", unable(s, n.why))
	}
	return Load(s, n.logf)
}

func (n none) Changes() []engine.Msg { return nil }
func (n none) Sync()                 {}
func (n none) Close()                {}

func unable(s Source, why error) string {
	what := "directory"
	if s.Kind == engine.InitConf {
		what = "file"
	}
	return fmt.Sprintf("%s: Unable to watch configuration %s: %s", s.Path, what, text(why))
}

// load reads the whole tree.
func (t *tree) load(logf Logf) engine.Source {
	src := engine.Source{Path: t.Path, Kind: t.Kind, Session: t.Session}
	t.loading = true
	t.watchWay()
	if err := t.scanTop(); err != nil {
		src.Error = text(err)
	}
	t.loading = false
	for _, m := range t.told {
		if m, ok := m.(engine.FileChanged); ok {
			src.Files = append(src.Files, m.File)
		}
	}
	t.told = nil
	for _, w := range t.warned {
		logf("%s", w)
	}
	t.warned = nil
	return src
}

func newTree(s Source, w watching) *tree {
	s.Path = filepath.Clean(s.Path)
	if w == nil {
		w = nobody{}
	}
	return &tree{Source: s, w: w, files: map[string]known{}, dirs: map[string]id{},
		paths: map[id]string{}, links: map[string]bool{}}
}
