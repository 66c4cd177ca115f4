package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"onset/core/engine"
	"onset/core/env"
	"onset/platform/watch"
)

// Dirs are the directory options of the command line.
type Dirs struct {
	Prepend, Conf, Append []string
	Log                   string
}

// SourceList returns the configuration sources in order of priority (UPSTART
// §1.1). The environment is init's own.
func SourceList(mode engine.Mode, d Dirs, own env.Table) ([]watch.Source, error) {
	middle := d.Conf
	list := dirSources(d.Prepend)
	if mode == engine.Session && len(middle) == 0 {
		var err error
		if middle, err = userDirs(own); err != nil {
			return nil, err
		}
	}
	if mode != engine.Session {
		list = append(list, watch.Source{Path: "/etc/init.conf", Kind: engine.InitConf})
		if len(middle) == 0 {
			middle = []string{"/etc/init"}
			if dir, ok := own.Lookup("UPSTART_CONFDIR"); ok {
				middle = []string{dir}
			}
		}
	}
	return append(append(list, dirSources(middle)...), dirSources(d.Append)...), nil
}

func dirSources(dirs []string) []watch.Source {
	var list []watch.Source
	for _, dir := range dirs {
		list = append(list, watch.Source{Path: strings.TrimRight(dir, "/")})
	}
	return list
}

var errNoHome = errors.New("HOME is not set")

// userDirs returns the configuration directories of a user, the first of
// which is made so that it can be watched (UPSTART §1.1.2).
func userDirs(own env.Table) ([]string, error) {
	home, ok := own.Lookup("HOME")
	if !ok {
		return nil, errNoHome
	}
	config, _ := userDir(own, "XDG_CONFIG_HOME", home, ".config") // one that cannot be made has no jobs
	dirs := []string{config, filepath.Join(home, ".init")}
	shared, _ := own.Lookup("XDG_CONFIG_DIRS")
	if shared == "" {
		shared = "/etc/xdg"
	}
	for _, dir := range strings.Split(shared, ":") {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, filepath.Join(dir, "upstart"))
		}
	}
	if _, ok := own.Lookup("UPSTART_NO_SYSTEM_USERCONFDIR"); !ok {
		dirs = append(dirs, "/usr/share/upstart/sessions")
	}
	return dirs, nil
}

// userDir returns the upstart directory below an XDG base directory, and
// makes both; the error is that it cannot.
func userDir(own env.Table, key, home, fallback string) (string, error) {
	base, _ := own.Lookup(key)
	if !filepath.IsAbs(base) {
		base = filepath.Join(home, fallback)
	}
	dir := filepath.Join(base, "upstart")
	return dir, os.MkdirAll(dir, 0o700)
}

// LogDir returns the directory of job logs (UPSTART §5; the option wins over
// the environment, DECISIONS 21).
func LogDir(mode engine.Mode, d Dirs, own env.Table) string {
	const system = "/var/log/upstart"
	if d.Log != "" {
		return strings.TrimRight(d.Log, "/")
	}
	if mode != engine.Session {
		if dir, ok := own.Lookup("UPSTART_LOGDIR"); ok && dir != "" {
			return dir
		}
		return system
	}
	home, ok := own.Lookup("HOME")
	if !ok {
		return system
	}
	dir, err := userDir(own, "XDG_CACHE_HOME", home, ".cache")
	if err != nil {
		return system
	}
	return dir
}

// SessionFile is the file by which clients find a session init.
type SessionFile struct{ path string }

// NewSessionFile writes the session file of a process (UPSTART §8.2). Those of
// sessions that are gone are removed by who finds them (DECISIONS 23). Without a
// runtime directory there is none.
func NewSessionFile(own env.Table, pid int, address string) (*SessionFile, error) {
	base, _ := own.Lookup("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(base) {
		return &SessionFile{}, nil
	}
	f := &SessionFile{filepath.Join(base, "upstart", "sessions", fmt.Sprintf("%d.session", pid))}
	err := os.MkdirAll(filepath.Dir(f.path), 0o700)
	next := f.path + ".new" // who reads finds all of it or nothing
	if err == nil {
		err = os.WriteFile(next, []byte("UPSTART_SESSION="+address+"\n"), 0o600)
	}
	if err == nil {
		err = os.Rename(next, f.path)
	}
	if err == nil {
		return f, nil
	}
	os.Remove(next)
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno
	}
	return &SessionFile{}, fmt.Errorf("unable to create session file: %s: %w", f.path, err)
}

// Remove deletes the file.
func (f *SessionFile) Remove() {
	if f.path != "" {
		os.Remove(f.path)
	}
}
