package watch

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/conf"
	"onset/core/engine"
	"onset/platform/posix"
)

var seed = maphash.MakeSeed()

// tree is what has been told of a source.
type tree struct {
	Source
	w     watching
	files map[string]known
	dirs  map[string]id
	paths map[id]string   // the reverse
	links map[string]bool // files and directories that may change elsewhere
	led   bool            // links lead to the top

	loading   bool // files count as closed
	unwatched bool // there are too few descriptors: what changes is noticed with the next full load
	told      []engine.Msg
	warned    []string
}

// cannotWatch notes that a file or directory cannot be watched; nothing of the
// tree is when descriptors are used up.
func (t *tree) cannotWatch(what string, err error) {
	if t.unwatched = errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE); t.unwatched {
		what = t.Path
	}
	t.warned = append(t.warned, unable(Source{Path: what, Kind: t.Kind}, err))
}

// watching is what a tree needs done while it is read.
type watching interface {
	// watch reports what happens in a directory or to a file as having
	// happened below or to path; passive: only that something happened.
	watch(t *tree, path, what string, i id, passive bool)
	// unwatch ends that for a path and what is below it.
	unwatch(t *tree, path string)
	// busy reports whether a file is being written, and if so sees to it
	// that it is looked at again.
	busy(t *tree, path string, fd int, st *unix.Stat_t) bool
}

type nobody struct{}

func (nobody) watch(*tree, string, string, id, bool)      {}
func (nobody) unwatch(*tree, string)                      {}
func (nobody) busy(*tree, string, int, *unix.Stat_t) bool { return false }

// id is a file, whatever its names.
type id struct{ dev, ino uint64 }

func idOf(st *unix.Stat_t) id { return id{uint64(st.Dev), uint64(st.Ino)} }

// stamp tells by its inode whether a file may have changed. It is a hash, as
// there are many.
type stamp uint64

func stampOf(st *unix.Stat_t) stamp {
	return stamp(maphash.Comparable(seed, struct {
		id
		size, mtime, ctime int64
	}{idOf(st), st.Size, st.Mtim.Nano(), st.Ctim.Nano()}))
}

// known is a file as it was told.
type known struct {
	stamp stamp
	sum   uint64 // of its text or, inverted, of the error
	sure  bool   // a later change shows in the stamp
}

// scanTop reads the whole source. That it is missing is no error.
func (t *tree) scanTop() error {
	top := t.Path
	if t.Kind == engine.InitConf {
		top = filepath.Dir(t.Path)
	}
	var st unix.Stat_t
	if err := stat(top, &st); err != nil {
		if err == unix.ENOENT {
			return nil
		}
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if t.Kind == engine.InitConf {
		t.enter(top, idOf(&st))
		for _, path := range t.initFiles() {
			t.scan(path)
		}
		return nil
	}
	return t.scanDir(top, &st)
}

// watchWay watches the links on the way to the top, and where one is missing.
// They do not go with the top.
func (t *tree) watchWay() {
	if t.Kind == engine.InitConf {
		return
	}
	for p := t.Path; p != "/" && p != "."; p = filepath.Dir(p) {
		var st, parent unix.Stat_t
		dir := filepath.Dir(p)
		err := lstat(p, &st)
		link := err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
		t.led = t.led || link
		if (link || err != nil && t.led) && stat(dir, &parent) == nil {
			t.w.watch(t, "/", dir, idOf(&parent), true)
		}
	}
}

// recheckTop notices when a link leads to another top, which is compared with
// the one before, or to none.
func (t *tree) recheckTop() {
	t.watchWay() // first, so that nothing happens unseen between
	var st unix.Stat_t
	err := stat(t.Path, &st)
	there := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	old, known := t.dirs[t.Path]
	switch {
	case there && known && old == idOf(&st) || !there && !known:
		return
	case !there:
		t.gone(t.Path)
		return
	}
	t.w.unwatch(t, t.Path)
	delete(t.paths, old)
	t.dirs[t.Path] = idOf(&st)
	if err := t.scanDir(t.Path, &st); err != nil {
		t.warn(t.Path, err)
	}
}

// initFiles are init.conf and its override.
func (t *tree) initFiles() []string {
	return []string{t.Path, strings.TrimSuffix(t.Path, ".conf") + ".override"}
}

// wants reports whether a path may be a file of the source.
func (t *tree) wants(path string) bool {
	if t.Kind == engine.InitConf {
		return slices.Contains(t.initFiles(), path)
	}
	kind, _ := conf.Classify(strings.TrimPrefix(path, t.Path))
	return kind != conf.NotConfig
}

// scan looks at what is at a path below the top and tells what is new.
func (t *tree) scan(path string) {
	var here, st unix.Stat_t
	if lstat(path, &here) != nil {
		t.gone(path)
		return
	}
	link := here.Mode&unix.S_IFMT == unix.S_IFLNK
	err := stat(path, &st)
	dir := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case dir && (t.Kind == engine.InitConf || conf.SkipDir(filepath.Base(path))):
		return
	case dir:
		t.follow(path, link, &st)
		if err := t.scanDir(path, &st); err != nil {
			t.warn(path, err)
		}
	case !t.wants(path):
		t.gone(path)
		if err != nil {
			t.warn(path, err)
		}
	case goneNow(path, link, err):
		t.gone(path)
	case err != nil:
		t.follow(path, link, &st)
		t.tell(path, known{}, "", text(err))
	case st.Mode&unix.S_IFMT == unix.S_IFREG:
		t.read(path, link)
	default:
		t.gone(path)
	}
}

// goneNow reports whether what was just seen at a path cannot be reached, for a
// reason, because it is not there any more: a link without a target still is.
func goneNow(path string, link bool, why error) bool {
	var st unix.Stat_t
	return why != nil && (!link && (why == unix.ENOENT || why == unix.ENOTDIR) || link && lstat(path, &st) != nil)
}

// follow watches where a link leads.
func (t *tree) follow(path string, link bool, st *unix.Stat_t) {
	if watchFiles && !link && st.Mode&unix.S_IFMT == unix.S_IFREG {
		t.w.watch(t, path, path, idOf(st), false)
	}
	if !link && (st.Mode&unix.S_IFMT == unix.S_IFDIR || st.Nlink < 2) {
		delete(t.links, path)
		return
	}
	t.links[path] = true
	if !link {
		t.w.watch(t, path, path, idOf(st), true)
		return
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil { // watch where it is missing
		target, _ = os.Readlink(path)
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
	}
	var parent unix.Stat_t
	if dir := filepath.Dir(target); stat(dir, &parent) == nil {
		t.w.watch(t, path, dir, idOf(&parent), true)
	}
	if watchFiles && st.Mode&unix.S_IFMT == unix.S_IFREG {
		t.w.watch(t, path, target, idOf(st), true)
	}
}

// scanDir looks at a directory and everything below it.
func (t *tree) scanDir(path string, st *unix.Stat_t) error {
	i := idOf(st)
	if old := t.dirs[path]; old != i {
		t.gone(path) // what had that name
	}
	if at, ok := t.paths[i]; ok && at != path {
		var now unix.Stat_t
		if stat(at, &now) == nil && idOf(&now) == i {
			//lint:ignore ST1005 the words of UPSTART §1.1.3
			return errors.New("Directory loop detected")
		}
		t.gone(at) // moved, which is not known yet
	}
	t.enter(path, i)
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, e := range entries {
		child := filepath.Join(path, e.Name())
		there[child] = true
		switch {
		case !e.Type().IsRegular():
			t.scan(child)
		case t.wants(child):
			t.read(child, false)
		default:
			t.gone(child)
		}
	}
	for _, child := range t.children(path) {
		if !there[child] {
			t.gone(child)
		}
	}
	return nil
}

// review looks at what is not as it was right below a directory in which
// something changed.
func (t *tree) review(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return // it is not there any more, which will be noticed
	}
	there := map[string]bool{}
	for _, e := range entries {
		child := filepath.Join(path, e.Name())
		there[child] = true
		var st unix.Stat_t
		err := lstat(child, &st)
		k, file := t.files[child]
		i, dir := t.dirs[child]
		switch {
		case err == nil && file && k.sure && k.stamp == stampOf(&st):
		case err == nil && dir && i == idOf(&st):
		case st.Mode&unix.S_IFMT == unix.S_IFLNK && t.links[child]: // recheck does that
		case st.Mode&unix.S_IFMT != unix.S_IFREG || t.wants(child) || file || dir || t.links[child]:
			t.scan(child)
		}
	}
	for _, child := range t.children(path) {
		if !there[child] {
			t.gone(child)
		}
	}
}

func (t *tree) enter(path string, i id) {
	t.dirs[path], t.paths[i] = i, path
	t.w.watch(t, path, path, i, false)
}

// children returns the files and directories known right below a path.
func (t *tree) children(path string) []string {
	var list []string
	for p := range t.files {
		if filepath.Dir(p) == path {
			list = append(list, p)
		}
	}
	for p := range t.dirs {
		if filepath.Dir(p) == path && p != path {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// gone forgets a path and what is below it.
func (t *tree) gone(path string) {
	_, isFile := t.files[path]
	_, isDir := t.dirs[path]
	if !isFile && !isDir && !t.links[path] {
		return
	}
	if !isDir {
		t.goneFile(path, isFile)
		return
	}
	t.w.unwatch(t, path)
	for _, p := range slices.Sorted(maps.Keys(t.files)) {
		if within(p, path) {
			t.told = append(t.told, engine.FileRemoved{Source: t.Path, Path: p})
			delete(t.files, p)
		}
	}
	maps.DeleteFunc(t.links, func(p string, _ bool) bool { return within(p, path) })
	maps.DeleteFunc(t.dirs, func(p string, i id) bool {
		if within(p, path) {
			delete(t.paths, i)
			return true
		}
		return false
	})
}

func (t *tree) goneFile(path string, told bool) {
	if t.links[path] || watchFiles {
		t.w.unwatch(t, path)
		delete(t.links, path)
	}
	if told {
		t.told = append(t.told, engine.FileRemoved{Source: t.Path, Path: path})
		delete(t.files, path)
	}
}

// within reports whether p is dir or below it.
func within(p, dir string) bool {
	rest, ok := strings.CutPrefix(p, dir)
	return ok && (rest == "" || rest[0] == '/' || dir == "/")
}

// read loads a file unless somebody is writing it. link says that path is a
// symbolic link.
func (t *tree) read(path string, link bool) {
	if _, dir := t.dirs[path]; dir {
		t.gone(path)
	}
	fd, err := open(path)
	switch {
	case goneNow(path, link, err):
		t.gone(path)
		return
	case err != nil:
		t.follow(path, link, new(unix.Stat_t))
		t.tell(path, known{}, "", text(err))
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return // replaced just now, which will be noticed
	}
	t.follow(path, link, &st)
	k := known{stamp: stampOf(&st), sure: time.Since(time.Unix(0, st.Mtim.Nano())) > time.Second}
	if !t.loading && t.w.busy(t, path, fd, &st) { // who is done by the next question was still at it here
		return
	}
	b, err := readAll(fd, st.Size)
	if !t.loading && t.unfinished(path, fd, &st) {
		return
	}
	if err != nil {
		t.tell(path, k, "", text(err))
		return
	}
	t.tell(path, k, string(b), "")
}

// unfinished reports whether what was read of a file may not be all, or its
// end is not known yet. It comes after the reading, too: who begins to write
// before that makes the file empty first.
func (t *tree) unfinished(path string, fd int, read *unix.Stat_t) bool {
	var st, now unix.Stat_t
	if unix.Fstat(fd, &st) != nil || t.w.busy(t, path, fd, &st) {
		return true
	}
	// Written, removed or replaced meanwhile, which will be noticed.
	return st.Size != read.Size || st.Mtim != read.Mtim || stat(path, &now) != nil || idOf(&now) != idOf(&st)
}

// readAll reads a file of about that many bytes.
func readAll(fd int, size int64) ([]byte, error) {
	b := make([]byte, 0, min(size, conf.SizeMax)+1)
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		}
		end := n < cap(b)-len(b)
		b = b[:len(b)+n]
		switch {
		case len(b) > conf.SizeMax:
			return nil, conf.ErrLarge
		case end:
			return b, nil
		}
		b = slices.Grow(b, 1)
	}
}

// tell tells of a file, or why it cannot be read, unless it is as it was told
// last.
func (t *tree) tell(path string, k known, body, fault string) {
	k.sum = maphash.String(seed, body)
	if fault != "" {
		k.sum = ^maphash.String(seed, fault)
	}
	old, ok := t.files[path]
	t.files[path] = k
	if ok && old.sum == k.sum {
		return
	}
	t.told = append(t.told, engine.FileChanged{Source: t.Path,
		File: engine.File{Path: path, Text: body, Error: fault}})
}

// compare looks at the files that are not as they were.
func (t *tree) compare() {
	t.recheck()
	for _, path := range slices.Sorted(maps.Keys(t.files)) {
		var st unix.Stat_t
		if k := t.files[path]; !t.links[path] && (lstat(path, &st) != nil || !k.sure || k.stamp != stampOf(&st)) {
			t.scan(path)
		}
	}
}

// recheck looks at the links whose targets have changed.
func (t *tree) recheck() {
	if t.led {
		t.recheckTop()
	}
	for _, path := range slices.Sorted(maps.Keys(t.links)) {
		var st unix.Stat_t
		err := stat(path, &st)
		k, isFile := t.files[path]
		i, isDir := t.dirs[path]
		switch {
		case err == nil && isDir && i == idOf(&st):
		case err == nil && isFile && k.sure && k.stamp == stampOf(&st):
		default:
			t.scan(path)
		}
	}
}

func (t *tree) warn(path string, err error) {
	t.warned = append(t.warned, fmt.Sprintf("%s: %s", path, text(err)))
}

func open(path string) (fd int, err error) {
	for {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func stat(path string, st *unix.Stat_t) error {
	for {
		if err := unix.Stat(path, st); err != unix.EINTR {
			return err
		}
	}
}

func lstat(path string, st *unix.Stat_t) error {
	for {
		if err := unix.Lstat(path, st); err != unix.EINTR {
			return err
		}
	}
}

// text is an error without the path, which is told beside it.
func text(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return posix.Strerror(errno)
	}
	return err.Error()
}
