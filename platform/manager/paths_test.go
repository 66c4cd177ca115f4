package manager

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onset/core/engine"
	"onset/core/env"
	"onset/platform/watch"
)

// sourcesOf is the list of sources as text.
func sourcesOf(list []watch.Source) string {
	var paths []string
	for _, s := range list {
		paths = append(paths, s.Path)
	}
	return strings.Join(paths, " ")
}

func TestSourceList(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "file") // below which nothing can be made, by root neither
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		mode engine.Mode
		dirs Dirs
		own  env.Table
		want string
	}{
		{"machine", engine.System, Dirs{}, nil, "/etc/init.conf /etc/init"},
		{"environment", engine.System, Dirs{}, env.Table{"UPSTART_CONFDIR=/e"}, "/etc/init.conf /e"},
		{"options", engine.System, Dirs{Prepend: []string{"/p", "/q/"}, Conf: []string{"/c", "/d"}, Append: []string{"/a"}},
			env.Table{"UPSTART_CONFDIR=/e"}, "/p /q /etc/init.conf /c /d /a"},
		{"user", engine.Session, Dirs{Append: []string{"/a"}}, env.Table{"HOME=" + home, "XDG_CONFIG_DIRS=/x:y"},
			home + "/.config/upstart " + home + "/.init /x/upstart /usr/share/upstart/sessions /a"},
		{"user's folder", engine.Session, Dirs{}, env.Table{"HOME=" + home, "XDG_CONFIG_HOME=" + home + "/c", "UPSTART_NO_SYSTEM_USERCONFDIR="},
			home + "/c/upstart " + home + "/.init /etc/xdg/upstart"},
		{"home that cannot be written", engine.Session, Dirs{}, env.Table{"HOME=" + file, "UPSTART_NO_SYSTEM_USERCONFDIR="},
			file + "/.config/upstart " + file + "/.init /etc/xdg/upstart"},
		{"folder instead of home", engine.Session, Dirs{Conf: []string{"/c"}}, nil, "/c"},
	} {
		list, err := SourceList(c.mode, c.dirs, c.own)
		if got := sourcesOf(list); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if _, err := SourceList(engine.Session, Dirs{}, nil); err != errNoHome {
		t.Errorf("without HOME: %v", err)
	}
	for _, dir := range []string{".config/upstart", "c/upstart"} {
		if info, err := os.Stat(filepath.Join(home, dir)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

func TestLogDir(t *testing.T) {
	home := t.TempDir()
	got := []string{
		LogDir(engine.System, Dirs{}, nil),
		LogDir(engine.System, Dirs{}, env.Table{"UPSTART_LOGDIR=/e"}),
		LogDir(engine.System, Dirs{Log: "/o/"}, env.Table{"UPSTART_LOGDIR=/e"}),
		LogDir(engine.Session, Dirs{}, env.Table{"HOME=" + home}),
		LogDir(engine.Session, Dirs{}, env.Table{"HOME=/dev/null"}),
	}
	want := []string{"/var/log/upstart", "/e", "/o", home + "/.cache/upstart", "/var/log/upstart"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A reader of the file that a process of that number left is not disturbed.
func TestSessionFileIsReplaced(t *testing.T) {
	run := t.TempDir()
	own := env.Table{"XDG_RUNTIME_DIR=" + run}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(run, "upstart", "sessions", name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	if _, err := NewSessionFile(own, 7, "unix:path=/old"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(run, "upstart", "sessions", "7.session")
	if err := os.Link(path, filepath.Join(run, "upstart", "sessions", "reader")); err != nil {
		t.Fatal(err)
	}
	f, err := NewSessionFile(own, 7, "unix:path=/new")
	if err != nil {
		t.Fatal(err)
	}
	if got := read("reader") + read("7.session"); got != "UPSTART_SESSION=unix:path=/old\nUPSTART_SESSION=unix:path=/new\n" {
		t.Errorf("got %q", got)
	}
	f.Remove()
	if left, _ := filepath.Glob(filepath.Join(run, "upstart", "sessions", "*")); len(left) != 1 {
		t.Errorf("left are %q", left)
	}
	_, err = NewSessionFile(env.Table{"XDG_RUNTIME_DIR=/dev/null"}, 7, "")
	if want := "unable to create session file: /dev/null/upstart/sessions/7.session: not a directory"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
