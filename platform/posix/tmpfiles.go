package posix

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tmpfiles applies files in the format of tmpfiles.d(5) before the job runs,
// inside its root and with this init's own rights.
func (s *stage) tmpfiles() *SetupError {
	for _, name := range s.Tmpfiles {
		if err := applyTmpfiles(name); err != nil {
			return &SetupError{Step: StepText, Text: "unable to apply tmpfiles: " + err.Error()}
		}
	}
	return nil
}

func applyTmpfiles(name string) error {
	n := 0
	var failed error
	err := eachLine(name, func(text string) bool {
		n++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			return true
		}
		if err := applyTmpfile(text); err != nil {
			failed = fmt.Errorf("%s:%d: %w", name, n, err)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return err
}

// tmpfile is one line: type, path, mode, user, group, age, argument. "-"
// stands for the default.
type tmpfile struct {
	kind     byte
	force    bool // "+"
	optional bool // "-": a failure is no fault
	path     string
	mode     os.FileMode
	hasMode  bool
	uid, gid int // -1: as they are
	arg      string
}

func applyTmpfile(line string) error {
	t, err := parseTmpfile(line)
	if err != nil {
		return err
	}
	if err = t.apply(); err != nil && t.optional {
		return nil
	}
	return err
}

func parseTmpfile(line string) (*tmpfile, error) {
	f := make([]string, 7)
	rest := line
	for i := range f {
		rest = strings.TrimLeft(rest, " \t")
		end := strings.IndexAny(rest, " \t")
		if end < 0 || i == len(f)-1 {
			end = len(rest)
		}
		f[i], rest = rest[:end], rest[end:]
		if f[i] == "-" {
			f[i] = ""
		}
	}
	t := &tmpfile{path: f[1], uid: -1, gid: -1, arg: f[6]}
	if f[0] == "" || !filepath.IsAbs(t.path) {
		return nil, fmt.Errorf("a type and an absolute path expected")
	}
	t.kind = f[0][0]
	for _, flag := range f[0][1:] {
		switch flag {
		case '+':
			t.force = true
		case '-':
			t.optional = true
		case '!': // at boot only, which this is
		default:
			return nil, fmt.Errorf("unknown type %q", f[0])
		}
	}
	return t, t.owner(f[2], f[3], f[4])
}

func (t *tmpfile) owner(mode, user, group string) error {
	if mode = strings.TrimLeft(mode, "~:"); mode != "" {
		n, err := strconv.ParseUint(mode, 8, 12)
		if err != nil {
			return fmt.Errorf("illegal mode %q", mode)
		}
		t.mode, t.hasMode = os.FileMode(n), true
	}
	var err error
	if t.uid, err = accountID(passwdFile, user); err != nil {
		return err
	}
	t.gid, err = accountID(groupFile, group)
	return err
}

// accountID returns the number of a name or of a number; -1 for none.
func accountID(file, name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, ok := number(name); ok {
		return n, nil
	}
	fields, err := account(file, name, 3)
	if err == nil {
		if n, ok := number(fields[2]); ok {
			return n, nil
		}
	}
	return -1, fmt.Errorf("unknown name %q", name)
}

func (t *tmpfile) apply() error {
	switch t.kind {
	case 'd', 'D':
		if t.kind == 'D' {
			if err := emptyDirectory(t.path); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(t.path, 0o755); err != nil {
			return err
		}
		return t.permit(0o755)
	case 'f':
		return t.file(os.O_CREATE | os.O_EXCL)
	case 'F':
		return t.file(os.O_CREATE | os.O_TRUNC)
	case 'w':
		if t.force {
			return t.file(os.O_APPEND)
		}
		return t.file(0)
	case 'L':
		return t.link()
	}
	return fmt.Errorf("unknown type %q", string(t.kind))
}

// file writes the argument to a file. A file that f finds keeps its content,
// one that w does not find is left alone.
func (t *tmpfile) file(flags int) error {
	creates := flags&os.O_CREATE != 0
	if flags&os.O_EXCL != 0 && t.force {
		flags = os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(t.path, os.O_WRONLY|unix.O_NOFOLLOW|flags, 0o644)
	switch {
	case flags&os.O_EXCL != 0 && os.IsExist(err):
		return t.permit(0o644)
	case !creates && os.IsNotExist(err):
		return nil
	case err != nil:
		return err
	}
	_, err = f.WriteString(unescape(t.arg))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil || !creates {
		return err
	}
	return t.permit(0o644)
}

func (t *tmpfile) link() error {
	if t.force {
		if err := os.RemoveAll(t.path); err != nil {
			return err
		}
	}
	if err := os.Symlink(t.arg, t.path); err != nil && !os.IsExist(err) {
		return err
	}
	return os.Lchown(t.path, t.uid, t.gid)
}

// permit sets mode and owner whatever the umask.
func (t *tmpfile) permit(mode os.FileMode) error {
	if t.hasMode {
		mode = t.mode
	}
	if err := os.Lchown(t.path, t.uid, t.gid); err != nil {
		return err
	}
	return unix.Fchmodat(unix.AT_FDCWD, t.path, uint32(mode), 0)
}

func emptyDirectory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

var escapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")

func unescape(s string) string { return escapes.Replace(s) }
