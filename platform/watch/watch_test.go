package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
)

// script runs a file of testdata. Paths are below a temporary directory that
// has src, the source, and out. Lines beginning with > are what is expected of
// the actions above them, complete and, for each path, in order: which of two
// files is told of first depends on which notification is heard first.
type script struct {
	t      *testing.T
	dir    string
	w      Watcher
	kind   engine.SourceKind
	open   map[string]*os.File
	got    []string
	warned []string
	woken  chan struct{}
}

func TestScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			newScript(t).run(string(text))
		})
	}
}

func newScript(t *testing.T) *script {
	s := &script{t: t, dir: t.TempDir(), open: map[string]*os.File{}, woken: make(chan struct{}, 1)}
	s.do("mkdir", "src", "")
	s.do("mkdir", "out", "")
	s.w = New(func() {
		select {
		case s.woken <- struct{}{}:
		default:
		}
	}, func(format string, args ...any) {
		s.warned = append(s.warned, s.short(fmt.Sprintf(format, args...)))
	})
	n, ok := s.w.(*notify)
	if !ok {
		t.Fatalf("the kernel gives no notification: %v", s.w.(none).why)
	}
	n.syncLimit = 3 * time.Minute // a machine under test is slow
	t.Cleanup(s.w.Close)
	return s
}

func (s *script) short(text string) string { return strings.ReplaceAll(text, s.dir+"/", "") }

func (s *script) run(text string) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if slices.Contains(lines, "kind init") {
		s.kind = engine.InitConf
	}
	if !slices.Contains(lines, "start") {
		s.start()
	}
	for i := 0; i < len(lines); i++ {
		var want []string
		for ; i < len(lines) && strings.HasPrefix(lines[i], "> "); i++ {
			want = append(want, strings.TrimSpace(lines[i][2:]))
		}
		if len(want) > 0 {
			s.wants(want, lines[max(0, i-len(want)-1)])
		}
		if i < len(lines) && !strings.HasPrefix(lines[i], "#") {
			s.line(lines[i])
		}
	}
}

func (s *script) line(line string) {
	s.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	path, arg, _ := strings.Cut(rest, " ")
	switch verb {
	case "start":
		s.start()
	case "kind":
	case "quiet":
		s.w.Sync()
		s.take()
		if len(s.got) > 0 {
			s.t.Fatalf("not quiet: %q", s.got)
		}
	case "warned":
		if n := slices.Index(s.warned, rest); n < 0 || len(s.warned) != 1 {
			s.t.Errorf("warned %q", s.warned)
		}
	default:
		if err := s.do(verb, path, arg); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
	}
}

func (s *script) do(verb, path, arg string) (err error) {
	at := func(p string) string { return filepath.Join(s.dir, p) }
	switch verb {
	case "mkdir":
		return os.MkdirAll(at(path), 0o755)
	case "write":
		os.MkdirAll(filepath.Dir(at(path)), 0o755)
		return os.WriteFile(at(path), []byte(arg), 0o644)
	case "large":
		size, _ := strconv.Atoi(arg)
		return os.WriteFile(at(path), make([]byte, size), 0o644)
	case "open":
		s.open[path], err = os.Create(at(path))
	case "append":
		_, err = s.open[path].WriteString(arg)
	case "close":
		err = s.open[path].Close()
	case "mv":
		err = os.Rename(at(path), at(arg))
	case "rm":
		err = os.RemoveAll(at(path))
	case "ln":
		err = os.Link(at(path), at(arg))
	case "symlink": // in one step, also over another
		if err = os.Symlink(path, at("new-link")); err == nil {
			err = os.Rename(at("new-link"), at(arg))
		}
	case "exchange":
		err = exchange(at(path), at(arg))
	case "fifo":
		err = unix.Mkfifo(at(path), 0o644)
	case "chmod":
		mode, _ := strconv.ParseUint(path, 8, 32)
		err = os.Chmod(at(arg), os.FileMode(mode))
	default:
		s.t.Fatalf("unknown action %q", verb)
	}
	return err
}

func (s *script) source() Source {
	if s.kind == engine.InitConf {
		return Source{Path: filepath.Join(s.dir, "src/init.conf"), Kind: engine.InitConf}
	}
	return Source{Path: filepath.Join(s.dir, "src")}
}

func (s *script) start() {
	src := s.w.Add(s.source())
	if src.Error != "" {
		s.got = append(s.got, "error "+src.Error)
	}
	for _, f := range src.Files {
		s.got = append(s.got, s.file("loaded", f))
	}
}

func (s *script) file(what string, f engine.File) string {
	text := f.Text
	if f.Error != "" {
		what, text = "error", f.Error
	}
	if len(text) > 100 {
		text = fmt.Sprint(len(text), " bytes")
	}
	return strings.TrimSpace(what + " " + s.short(f.Path) + " " + text)
}

// take adds what has changed to got.
func (s *script) take() {
	for _, m := range s.w.Changes() {
		switch m := m.(type) {
		case engine.FileChanged:
			s.got = append(s.got, s.file("changed", m.File))
		case engine.FileRemoved:
			s.got = append(s.got, "removed "+s.short(m.Path))
		case engine.SourceRemoved:
			s.got = append(s.got, "source "+s.short(m.Source))
		}
	}
}

// wants waits until the lines have been told, and no other.
func (s *script) wants(lines []string, after string) {
	s.t.Helper()
	limit := time.After(3 * time.Minute)
	for s.take(); len(s.got) < len(lines); s.take() {
		select {
		case <-s.woken:
		case <-limit:
			s.t.Fatalf("after %q: got %q, want %q", after, s.got, lines)
		}
	}
	if !slices.Equal(byPath(s.got), byPath(lines)) {
		s.t.Fatalf("after %q: got %q, want %q", after, s.got, lines)
	}
	s.got = nil
}

// byPath sorts lines by the path they are about, those of one path as they
// came.
func byPath(lines []string) []string {
	path := func(line string) string { return strings.Fields(line + " -")[1] }
	lines = slices.Clone(lines)
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(path(a), path(b)) })
	return lines
}
