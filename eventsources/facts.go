package eventsources

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/control"
	"onset/platform/wire"
)

// held is a fact and who holds it.
type held struct {
	fact  Fact
	file  int // our own copy; -1 without
	order int
	by    []owner // the last run of each source that asserted it
}

// owner is a run of a source.
type owner struct {
	source string
	run    int
}

// clean is the fact as D-Bus has a place for it.
func (f Fact) clean() Fact { return Fact{clean(f.Name), cleanAll(f.Env), f.File} }

func (f Fact) key() string { return f.Name + "\x00" + strings.Join(f.Env, "\x00") }

// owned returns where the run of a source stands; -1 if it has no part in it.
func (h *held) owned(source string) int {
	return slices.IndexFunc(h.by, func(o owner) bool { return o.source == source })
}

// assertion is the request that makes a fact true.
func (c *client) assertion(h *held) (*request, error) {
	method, file := control.AssertFact, -1
	if h.file >= 0 {
		method = control.AssertFactWithFile
		var err error
		if file, err = unix.FcntlInt(uintptr(h.file), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("cannot copy a descriptor: %w", err)
		}
	}
	r, err := newRequest(control.Root, method, file, h.fact.Name, h.fact.Env)
	if err != nil {
		closeFile(file)
		return nil, err
	}
	source := h.by[0].source
	r.answer = func(_ *wire.Message, err error) {
		if err != nil && err != errLost {
			c.refused(source, "the fact "+h.fact.Name, err)
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.facts[h.fact.key()] == h {
				c.forget(h)
			}
		}
	}
	return r, nil
}

// forget takes a fact out of the table, with the lock held.
func (c *client) forget(h *held) {
	delete(c.facts, h.fact.key())
	closeFile(h.file)
}

// assert makes a fact of a source true. Without a connection the next one
// gets what then holds.
func (c *client) assert(by owner, f Fact) error {
	f = f.clean()
	if err := c.place(c.ctx); err != nil {
		return err
	}
	told, err := c.assertInPlace(by, f)
	if !told {
		<-c.places
	}
	return err
}

// assertInPlace reports whether a request took the place.
func (c *client) assertInPlace(by owner, f Fact) (told bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.facts[f.key()]
	if h != nil {
		if i := h.owned(by.source); i >= 0 {
			h.by[i] = by
		} else {
			h.by = append(h.by, by)
		}
		if h.fact.File == f.File {
			return false, nil
		}
	}
	file, err := copyFile(f.File)
	if err != nil {
		return false, err
	}
	if h == nil {
		c.last++
		h = &held{fact: f, file: file, order: c.last, by: []owner{by}}
		c.facts[f.key()] = h
	} else {
		closeFile(h.file)
		h.fact.File, h.file = f.File, file
	}
	if c.conn == nil {
		return false, nil
	}
	r, err := c.assertion(h)
	if err != nil {
		return false, err
	}
	r.counts = true
	c.push(r)
	return true, nil
}

// retract ends a source's part in a fact if the last run of it that asserted it is
// one of those.
func (c *client) retract(source, key string, run func(int) bool) error {
	if err := c.place(c.ctx); err != nil {
		return err
	}
	told, err := c.retractInPlace(source, key, run)
	if !told {
		<-c.places
	}
	return err
}

// retractInPlace reports whether a request took the place.
func (c *client) retractInPlace(source, key string, run func(int) bool) (told bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.facts[key]
	if h == nil {
		return false, nil
	}
	i := h.owned(source)
	if i < 0 || !run(h.by[i].run) {
		return false, nil
	}
	if h.by = slices.Delete(h.by, i, i+1); len(h.by) > 0 {
		return false, nil
	}
	c.forget(h)
	if c.conn == nil {
		return false, nil
	}
	r, err := newRequest(control.Root, control.RetractFact, -1, h.fact.Name, h.fact.Env)
	if err != nil {
		return false, err
	}
	r.answer = func(_ *wire.Message, err error) { c.refused(source, "the end of the fact "+h.fact.Name, err) }
	r.counts = true
	c.push(r)
	return true, nil
}

// keys returns the facts that a source has a part in, in order.
func (c *client) keys(source string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*held
	for _, h := range c.facts {
		if h.owned(source) >= 0 {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *held) int { return a.order - b.order })
	keys := make([]string, len(list))
	for i, h := range list {
		keys[i] = h.fact.key()
	}
	return keys
}

// anyRun is for what holds whichever run asserted it.
func anyRun(int) bool { return true }

// hold makes these facts of a source true and its others false.
func (c *client) hold(by owner, facts []Fact) error {
	keep := map[string]bool{}
	for _, f := range facts {
		if err := c.assert(by, f); err != nil {
			return err
		}
		keep[f.clean().key()] = true
	}
	for _, key := range c.keys(by.source) {
		if !keep[key] {
			if err := c.retract(by.source, key, anyRun); err != nil {
				return err
			}
		}
	}
	return nil
}

// expire ends the facts of a source that no run after that one has asserted.
func (c *client) expire(source string, run int) {
	for _, key := range c.keys(source) {
		if c.retract(source, key, func(by int) bool { return by <= run }) != nil {
			return // the host ends
		}
	}
}
