package posix

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// place is where a job's tree of files is to be another.
type place struct {
	rank     int    // of those in one place
	what     string // in messages
	path     string // as the job sees it
	optional bool   // may be missing
}

// The order of what is done to one place.
const (
	rankBind = iota
	rankPrivate
	rankHide
	rankReadOnly
)

// placesOf are those of a job but for what bind shows elsewhere.
func placesOf(i *job.Isolation) (list []place) {
	add := func(rank int, what string, paths ...string) {
		for _, p := range paths {
			at, optional := strings.CutPrefix(p, "-")
			list = append(list, place{rank: rank, what: what, path: path.Clean(at), optional: optional})
		}
	}
	if slices.Contains(i.Private, "tmp") {
		add(rankPrivate, "private tmp", "-/tmp", "-/var/tmp")
	}
	if slices.Contains(i.Private, "dev") {
		add(rankPrivate, "private dev", "/dev")
	}
	add(rankHide, "hide", i.Hide...)
	add(rankReadOnly, "readonly", i.ReadOnly...)
	return list
}

// order compares places, so that what is said of one counts for all below it
// that has no word of its own.
func (p *place) order(other *place) int {
	return cmp.Or(strings.Compare(p.path, other.path), p.rank-other.rank)
}

// legal says what no place can be.
func (p *place) legal() error {
	if !path.IsAbs(p.path) || p.path == "/" && p.rank != rankReadOnly {
		return unix.EINVAL
	}
	return nil
}

func missing(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }

// inTurn does steps up to the one that fails.
func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
