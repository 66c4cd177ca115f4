package watch

import (
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"onset/core/engine"
)

const (
	firstLook = 10 * time.Millisecond // at a file that is being written
	lastLook  = 500 * time.Millisecond
	settled   = 75 * time.Millisecond
	maySync   = 100 * time.Millisecond // how long Sync waits
)

// notify is the Watcher on fsnotify.
type notify struct {
	fs   *fsnotify.Watcher
	wake func()
	logf Logf
	quit chan struct{}
	over sync.WaitGroup
	lost chan struct{} // the kernel has dropped notifications
	bar  *barrier
	pass chan struct{} // an event of bar has been handled

	syncLimit time.Duration
	raised    bool // the event of bar is still to come; of who calls Sync
	most      int  // files and directories watched

	mu      sync.Mutex // held while files are looked at
	trees   map[string]*tree
	watched map[string]*watched // by the path fsnotify knows
	names   map[id]string       // of those
	pending map[place]*writing
	syncing bool // who calls Sync has done what it did

	outMu  sync.Mutex
	msgs   []engine.Msg
	warned []string
}

// place is a path as seen by a source.
type place struct {
	t    *tree
	path string
}

// watched is a directory or file that is watched once for all who need it.
type watched struct {
	id    id
	users []user
}

type user struct {
	place
	passive bool
}

// writing is a file that is being written.
type writing struct {
	at   time.Time // to look again
	step time.Duration
}

// New returns a Watcher with notification; where the kernel has none to give
// that is None, with a warning at each Add. wake may be called by any goroutine.
func New(wake func(), logf Logf) Watcher {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return none{logf, err}
	}
	n := &notify{fs: fs, wake: wake, logf: logf,
		quit: make(chan struct{}), lost: make(chan struct{}, 1), pass: make(chan struct{}, 1),
		trees: map[string]*tree{}, watched: map[string]*watched{}, names: map[id]string{},
		pending: map[place]*writing{}, syncLimit: maySync, most: halfOfDescriptors()}
	n.bar = newBarrier(fs)
	n.over.Add(2)
	go n.run()
	go n.runErrors()
	return n
}

func halfOfDescriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 512
	}
	return int(min(limit.Cur, 1<<30)) / 2
}

func (n *notify) Close() {
	select {
	case <-n.quit:
		return
	default:
		close(n.quit)
	}
	n.fs.Close()
	n.over.Wait()
	n.bar.close()
}

func (n *notify) Add(s Source) engine.Source {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := newTree(s, n)
	if old := n.trees[t.Path]; old != nil {
		n.forget(old)
	}
	n.trees[t.Path] = t
	n.outMu.Lock()
	n.msgs = slices.DeleteFunc(n.msgs, func(m engine.Msg) bool { return sourceOf(m) == t.Path })
	n.outMu.Unlock()
	src := t.load(n.logf)
	if t.unwatched || len(t.dirs) == 0 && !t.led { // missing: noticed with the next full load
		n.forget(t)
	}
	return src
}

func sourceOf(m engine.Msg) string {
	switch m := m.(type) {
	case engine.FileChanged:
		return m.Source
	case engine.FileRemoved:
		return m.Source
	case engine.SourceRemoved:
		return m.Source
	}
	return ""
}

func (n *notify) Changes() []engine.Msg {
	n.outMu.Lock()
	msgs, warned := n.msgs, n.warned
	n.msgs, n.warned = nil, nil
	n.outMu.Unlock()
	for _, w := range warned {
		n.logf("%s", w)
	}
	return msgs
}

func (n *notify) Sync() {
	if n.bar.quiet() {
		return
	}
	limit := time.NewTimer(n.syncLimit)
	defer limit.Stop()
	if n.raised && !n.passes(limit) {
		return
	}
	n.raised = n.bar.raise()
	if n.raised && n.passes(limit) {
		n.bar.passed()
	}
}

// passes waits for the barrier that is raised.
func (n *notify) passes(limit *time.Timer) bool {
	select {
	case <-n.pass:
		n.raised = false
		return true
	case <-limit.C:
		return false
	}
}

// run handles what the kernel notifies of.
func (n *notify) run() {
	defer n.over.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var look func()
		select {
		case <-n.quit:
			return
		case ev, ok := <-n.fs.Events:
			if !ok {
				return
			}
			look = func() { n.event(ev) }
		case <-n.bar.dirs:
			look = n.lookAtDirs
		case <-n.bar.asked:
			look = n.catchUp
		case <-n.lost:
			look = n.lookAtAll
		case <-timer.C:
			look = func() { n.lookAtWritten(false) }
		}
		timer.Reset(n.handle(look))
	}
}

// runErrors sees that fsnotify, which may hold its lock while it reports an
// error, never waits for run.
func (n *notify) runErrors() {
	defer n.over.Done()
	for err := range n.fs.Errors {
		if err != nil {
			select {
			case n.lost <- struct{}{}:
			default:
			}
		}
	}
}

// handle calls look, tells what came of it, and returns when to look again.
func (n *notify) handle(look func()) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	look()
	for _, path := range slices.Sorted(maps.Keys(n.trees)) {
		t := n.trees[path]
		if n.publish(t); t.unwatched && !n.waitsFor(t) {
			n.forget(t)
		}
	}
	next := time.Hour
	for _, w := range n.pending {
		next = min(next, max(0, time.Until(w.at)))
	}
	return next
}

// passed lets Sync go on, when what was done before is known.
func (n *notify) passed() {
	n.lookAtWritten(true)
	for _, t := range n.trees {
		n.publish(t)
	}
	select {
	case n.pass <- struct{}{}:
	default:
	}
}

// catchUp finds out what was done so far.
func (n *notify) catchUp() {
	n.lookAtDirs()
	for _, path := range slices.Sorted(maps.Keys(n.trees)) {
		n.trees[path].compare()
	}
	n.passed()
}

// waitsFor reports whether files of a tree are being written.
func (n *notify) waitsFor(t *tree) bool {
	for p := range n.pending {
		if p.t == t {
			return true
		}
	}
	return false
}

// event looks at all that an event may be about, and at the links.
func (n *notify) event(ev fsnotify.Event) {
	ev.Name = filepath.Clean(ev.Name)
	if n.bar.is(ev) {
		n.passed()
		return
	}
	if ev.Has(fsnotify.Remove) {
		n.removed(ev.Name)
	}
	for _, p := range n.places(ev) {
		if n.pending[p] == nil || ev.Op != fsnotify.Write {
			n.look(p)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(n.trees)) {
		n.trees[path].recheck()
	}
}

// removed tells that what was in a directory is not there any more, for kernels
// that tell of the directory first.
func (n *notify) removed(name string) {
	w := n.watched[name]
	if w == nil {
		return
	}
	for _, u := range slices.Clone(w.users) {
		var st unix.Stat_t
		if i, dir := u.t.dirs[u.path]; dir && !u.passive && (stat(u.path, &st) != nil || idOf(&st) != i) {
			for _, child := range u.t.children(u.path) {
				u.t.gone(child)
			}
		}
	}
}

// lookAtDirs looks at the directories that the barrier tells of.
func (n *notify) lookAtDirs() {
	for _, ev := range n.bar.takeDirs() {
		w := n.watched[ev.Name]
		if w != nil && ev.Op == fsnotify.Write {
			for _, u := range slices.Clone(w.users) {
				if !u.passive && n.trees[u.t.Path] == u.t {
					u.t.review(u.path)
				}
			}
		}
		n.event(ev)
	}
}

// places returns what is watched by the name of an event, and the entry of a
// directory that is watched.
func (n *notify) places(ev fsnotify.Event) []place {
	var list []place
	if w := n.watched[ev.Name]; w != nil {
		for _, u := range w.users {
			if !u.passive {
				list = append(list, u.place)
			}
		}
		if ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename) {
			n.drop(ev.Name) // as the kernel did
		}
	}
	if w := n.watched[filepath.Dir(ev.Name)]; w != nil {
		for _, u := range w.users {
			p := place{u.t, filepath.Join(u.path, filepath.Base(ev.Name))}
			if !u.passive && !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list
}

// look looks at a place. That of the top directory is the end of the source
// if the directory is not there any more.
func (n *notify) look(p place) {
	if n.trees[p.t.Path] != p.t {
		return
	}
	top := p.t.Path
	if p.t.Kind == engine.InitConf {
		top = filepath.Dir(top)
	}
	var st unix.Stat_t
	switch {
	case p.path != top:
		p.t.scan(p.path)
	case p.t.led:
		p.t.recheckTop()
		if i, ok := p.t.dirs[top]; ok {
			p.t.enter(top, i)
		}
	case stat(top, &st) != nil || idOf(&st) != p.t.dirs[top]:
		n.publish(p.t)
		n.put([]engine.Msg{engine.SourceRemoved{Source: p.t.Path}}, nil)
		n.forget(p.t)
	default:
		p.t.enter(top, idOf(&st))
	}
}

// lookAtAll makes good for lost notifications, that of bar too.
func (n *notify) lookAtAll() {
	for _, path := range slices.Sorted(maps.Keys(n.trees)) {
		t := n.trees[path]
		top := t.Path
		if t.Kind == engine.InitConf {
			top = filepath.Dir(top)
		}
		n.look(place{t, top})
		if n.trees[path] == t {
			if err := t.scanTop(); err != nil {
				t.warn(t.Path, err)
			}
		}
	}
	n.passed()
}

// publish puts out what a tree has told.
func (n *notify) publish(t *tree) {
	msgs, warned := t.told, t.warned
	t.told, t.warned = nil, nil
	n.put(msgs, warned)
}

func (n *notify) put(msgs []engine.Msg, warned []string) {
	if len(msgs) == 0 && len(warned) == 0 {
		return
	}
	n.outMu.Lock()
	n.msgs = append(n.msgs, msgs...)
	n.warned = append(n.warned, warned...)
	n.outMu.Unlock()
	n.wake()
}

// forget ends the watching of a source.
func (n *notify) forget(t *tree) {
	n.unwatch(t, "/")
	delete(n.trees, t.Path)
	maps.DeleteFunc(n.pending, func(p place, _ *writing) bool { return p.t == t })
}

func (n *notify) watch(t *tree, path, what string, i id, passive bool) {
	if t.unwatched {
		return
	}
	name, ok := n.names[i]
	if !ok {
		if n.watched[what] != nil { // another file of that name
			n.drop(what)
		}
		if err := n.hear(what); err != nil {
			if !passive {
				t.cannotWatch(what, err)
			}
			return
		}
		name = what
		n.names[i] = name
		n.watched[name] = &watched{id: i}
	}
	w, u := n.watched[name], user{place{t, path}, passive}
	if !slices.Contains(w.users, u) {
		w.users = append(w.users, u)
	}
}

// hear has the kernel tell of a file or directory. Where each takes a
// descriptor, others need some as well.
func (n *notify) hear(name string) error {
	if watchFiles && len(n.watched) >= n.most {
		return unix.EMFILE
	}
	if n.bar.watches(name) {
		return nil
	}
	err := n.fs.Add(name)
	if err == nil {
		n.bar.add(name)
	}
	return err
}

func (n *notify) unwatch(t *tree, path string) {
	for name, w := range n.watched {
		w.users = slices.DeleteFunc(w.users, func(u user) bool { return u.t == t && within(u.path, path) })
		if len(w.users) == 0 {
			n.drop(name)
		}
	}
}

func (n *notify) drop(name string) {
	delete(n.names, n.watched[name].id)
	delete(n.watched, name)
	n.bar.remove(name)
	n.fs.Remove(name) // an error says that the kernel did it already
}

// busy also ends the waiting for a file that is not being written.
func (n *notify) busy(t *tree, path string, fd int, st *unix.Stat_t) bool {
	p := place{t, path}
	open, age := writers(fd), time.Since(time.Unix(0, st.Mtim.Nano()))
	if age >= 0 && (open == unknown && age < settled || open == no && age < seenAfter(st.Size) && !n.syncing) {
		open = yes
	}
	if open != yes {
		delete(n.pending, p)
		return false
	}
	w := n.pending[p]
	if w == nil {
		w = &writing{step: firstLook}
		n.pending[p] = w
	}
	w.at = time.Now().Add(w.step)
	return true
}

// lookAtWritten looks at files that were being written, when it is time or at
// all of them.
func (n *notify) lookAtWritten(all bool) {
	n.syncing = all
	defer func() { n.syncing = false }()
	for p, w := range n.pending {
		if all || time.Until(w.at) <= 0 {
			at := w.at
			w.step = min(2*w.step, lastLook)
			n.look(p)
			if n.pending[p] == w && w.at == at { // it is gone, or no file any more
				delete(n.pending, p)
			}
		}
	}
}
