package sim

import (
	"slices"
	"strings"

	"onset/core/conf"
	"onset/core/engine"
)

// tree holds the configuration sources and their files.
type tree struct {
	sources []source
	files   []engine.File // by path
}

type source struct {
	engine.Source      // without files
	watched       bool // it was there at the last full load
}

// AddSource adds a configuration source behind those that exist. It is
// there, even without a file, until it is removed.
func (w *World) AddSource(s engine.Source) {
	w.sources = append(w.sources, source{Source: s, watched: true})
}

// WriteFile writes a file or moves it into place.
func (w *World) WriteFile(path, text string) { w.put(engine.File{Path: path, Text: text}) }

// BreakFile makes a file unreadable.
func (w *World) BreakFile(path, why string) { w.put(engine.File{Path: path, Error: why}) }

func (w *World) put(f engine.File) {
	if i, ok := w.findFile(f.Path); ok {
		w.files[i] = f
	} else {
		w.files = slices.Insert(w.files, i, f)
	}
	for _, s := range w.sources {
		if s.watched && s.holds(f.Path) {
			w.happen(engine.FileChanged{Source: s.Path, File: f})
		}
	}
}

// RemoveFile deletes a file, if it exists.
func (w *World) RemoveFile(path string) {
	i, ok := w.findFile(path)
	if !ok {
		return
	}
	w.files = slices.Delete(w.files, i, i+1)
	for _, s := range w.sources {
		if s.watched && s.holds(path) {
			w.happen(engine.FileRemoved{Source: s.Path, Path: path})
		}
	}
}

// RenameFile moves a file; it replaces what has the new name.
func (w *World) RenameFile(from, to string) {
	i, ok := w.findFile(from)
	if !ok {
		return
	}
	f := w.files[i]
	w.RemoveFile(from)
	f.Path = to
	w.put(f)
}

// RemoveSource deletes the directory of a source with all that is in it. It
// is watched again after the next full load that finds it.
func (w *World) RemoveSource(path string) {
	w.files = slices.DeleteFunc(w.files, func(f engine.File) bool { return strings.HasPrefix(f.Path, path+"/") })
	for i := range w.sources {
		if s := &w.sources[i]; s.Path == path && s.watched {
			s.watched = false
			w.happen(engine.SourceRemoved{Source: path})
		}
	}
}

// Load reads all sources and those of chroot sessions, as for a LoadConfig
// effect.
func (w *World) Load(sessions ...string) engine.Loaded {
	for _, root := range sessions {
		w.sessionSource(root)
	}
	var l engine.Loaded
	for i := range w.sources {
		s := &w.sources[i]
		full := w.read(s.Source)
		s.watched = s.watched || len(full.Files) > 0
		l.Sources = append(l.Sources, full)
	}
	return l
}

// loadSession reads the configuration of a chroot session, which is watched
// from now on.
func (w *World) loadSession(root string) engine.SourceLoaded {
	return engine.SourceLoaded{Source: w.read(w.sessionSource(root))}
}

// sessionSource returns the source of a chroot session.
func (w *World) sessionSource(root string) engine.Source {
	path := root + "/etc/init"
	i := slices.IndexFunc(w.sources, func(s source) bool { return s.Path == path })
	if i < 0 {
		w.AddSource(engine.Source{Path: path, Session: root})
		i = len(w.sources) - 1
	}
	return w.sources[i].Source
}

func (w *World) read(s engine.Source) engine.Source {
	for _, f := range w.files {
		if (source{Source: s}).holds(f.Path) {
			s.Files = append(s.Files, f)
		}
	}
	return s
}

// Files returns the paths of all files.
func (w *World) Files() []string {
	var paths []string
	for _, f := range w.files {
		paths = append(paths, f.Path)
	}
	return paths
}

// findFile finds the place of a path in walk order: that of the components,
// a directory among the files beside it.
func (w *World) findFile(path string) (int, bool) {
	walk := func(p string) string { return strings.ReplaceAll(p, "/", "\x00") }
	return slices.BinarySearchFunc(w.files, path, func(f engine.File, p string) int {
		return strings.Compare(walk(f.Path), walk(p))
	})
}

// holds reports whether a file is read as part of the source (UPSTART §1.1.3).
func (s source) holds(path string) bool {
	if s.Kind == engine.InitConf {
		return path == s.Path || path == strings.TrimSuffix(s.Path, ".conf")+".override"
	}
	rel, ok := strings.CutPrefix(path, s.Path+"/")
	if !ok {
		return false
	}
	dirs := strings.Split(rel, "/")
	kind, _ := conf.Classify(rel)
	return kind != conf.NotConfig && !slices.ContainsFunc(dirs[:len(dirs)-1], conf.SkipDir)
}
