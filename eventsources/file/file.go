// Package file is the event source for files that come, are written and go
// (UPSTART §9.3, DECISIONS 24, EXTENSIONS §7).
//
// A file is there when its directory has an entry of that name, be it a link
// to nowhere. It is modified when somebody closes it who had opened it for
// writing, and created also when another file is moved into its place. Every
// directory on the way to it is watched, and mounts are, so it makes no
// difference which part of the path comes, goes, is moved or covered, or is a
// link that is switched.
//
// States of a directory: unknown until it is entered, then its entries of
// interest are known, until it is left. What the kernel tells changes what is
// known; events and facts are the changes. When the kernel lost something, or
// cannot watch a directory, it is looked at and compared with what was known.
//
// Order: a fact holds before the event create, and no more at the event delete.
package file

import (
	"context"
	"fmt"
	"os"
	"time"

	"onset/eventsources"
)

// Source is the source.
type Source struct {
	User bool // paths may begin at the home directory, as for the init of a session
}

// Name implements eventsources.Source.
func (Source) Name() string { return "file" }

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool { return c.Operand.Name == "file" }

// pollEvery is how often directories are looked at that cannot be watched.
const pollEvery = 2 * time.Second

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	n, err := newNotifier()
	if err != nil {
		return fmt.Errorf("the kernel tells nothing of files: %w", err)
	}
	defer n.close()
	home := ""
	if s.User {
		if home, err = os.UserHomeDir(); err != nil {
			return err
		}
	}
	t := newTracker(ctx, init, n)
	list, changed := init.Conditions()
	t.setOperands(operandsOf(list, s.User, home, t.warn))
	init.Ready()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var settle <-chan time.Time
	for ctx.Err() == nil {
		var tick <-chan time.Time
		if len(t.unwatched) > 0 {
			tick = poll.C
		}
		if len(t.doubts) > 0 && settle == nil {
			settle = time.After(quiet)
		}
		select {
		case what := <-n.notices:
			t.notice(what)
		case <-n.overflow:
			init.Logf("the kernel lost some of what happened to files: looking at all of them")
			t.rescan()
		case <-n.mounts:
			t.remounted(t.root)
		case <-changed:
			list, changed = init.Conditions()
			t.setOperands(operandsOf(list, s.User, home, t.warn))
		case <-tick:
			t.poll()
		case <-settle:
			settle = nil
			t.settleDoubts()
		case <-ctx.Done():
		}
	}
	return nil
}
