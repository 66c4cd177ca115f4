// Package seccomp compiles profiles into programs for the kernel's filter of
// system calls: the seccomp part of the OCI run-time specification, with what
// the profiles of container engines add to it (archMap, includes, excludes).
// What rules mean is what libseccomp, as run-times use it, makes of them:
//
//   - A rule with the default action says nothing.
//   - A rule without args decides alone, the first of several; otherwise the
//     first whose args all match does. Args with the same index count as rules
//     of their own.
//   - Names that this machine does not have are no fault in a rule, but for
//     names that no machine has where all is allowed that is not named.
//   - Calls by an architecture that is not listed kill, and so do those of x32,
//     listed or not.
//
// A compilation depends on nothing but its arguments. Names, numbers and the
// default profile are texts that are read only then.
package seccomp

import (
	"cmp"
	_ "embed" // of the default profile
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Default is the profile of programs that need no administrative calls.
//
//go:embed default.json
var Default string

// Machine is what a profile is compiled for.
type Machine struct {
	Arch         string                 // as Go names it
	Capabilities func(name string) bool // of the process; names as "CAP_CHOWN"
	Kernel       string                 // its release
}

// Filter is a program and the flags to install it with.
type Filter struct {
	Program []Instruction
	Flags   uint
}

type profile struct {
	DefaultAction    string    `json:"defaultAction"`
	DefaultErrnoRet  *uint16   `json:"defaultErrnoRet"`
	DefaultErrno     string    `json:"defaultErrno"` // in words, beside the number
	Architectures    []string  `json:"architectures"`
	ArchMap          []archMap `json:"archMap"`
	Flags            []string  `json:"flags"`
	ListenerPath     string    `json:"listenerPath"`
	ListenerMetadata string    `json:"listenerMetadata"`
	Syscalls         []rule    `json:"syscalls"`
}

type archMap struct {
	Architecture     string   `json:"architecture"`
	SubArchitectures []string `json:"subArchitectures"`
}

type rule struct {
	Name     string    `json:"name"`
	Names    []string  `json:"names"`
	Action   string    `json:"action"`
	ErrnoRet *uint16   `json:"errnoRet"`
	Errno    string    `json:"errno"` // in words, beside the number
	Args     []arg     `json:"args"`
	Comment  string    `json:"comment"`
	Includes condition `json:"includes"`
	Excludes condition `json:"excludes"`
}

// condition is where a rule counts, or does not.
type condition struct {
	Caps      []string `json:"caps"`
	Arches    []string `json:"arches"`
	MinKernel string   `json:"minKernel"`
}

type arg struct {
	Index    uint8  `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

// parse reads a profile; errors tell the byte.
func parse(text string) (*profile, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	p := &profile{}
	if err := d.Decode(p); err != nil {
		offset, what := d.InputOffset(), strings.TrimPrefix(err.Error(), "json: ")
		var bad *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &bad):
			offset = bad.Offset
		case errors.As(err, &kind):
			offset, what = kind.Offset, fmt.Sprintf("%s: cannot be %s", cmp.Or(kind.Field, "the profile"), kind.Value)
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			offset, what = int64(len(text)), "unexpected end"
		}
		return nil, fmt.Errorf("byte %d: %s", offset, what)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("byte %d: more than one value", d.InputOffset())
	}
	return p, nil
}

// actions are what the kernel's filter returns, by their OCI names.
var actions = [...]struct {
	name  string
	value uint32
	errno bool // has a number beside it
}{
	{"SCMP_ACT_KILL", retKillThread, false},
	{"SCMP_ACT_KILL_THREAD", retKillThread, false},
	{"SCMP_ACT_KILL_PROCESS", 0x80000000, false},
	{"SCMP_ACT_TRAP", 0x00030000, false},
	{"SCMP_ACT_ERRNO", 0x00050000, true},
	{"SCMP_ACT_TRACE", 0x7ff00000, true},
	{"SCMP_ACT_LOG", retLog, false},
	{"SCMP_ACT_ALLOW", retAllow, false},
}

const (
	retKillThread = 0
	retLog        = 0x7ffc0000
	retAllow      = 0x7fff0000

	eperm    = 1
	maxErrno = 4095
)

// action returns what the filter returns for an action; path is where its
// number stands.
func action(name string, number *uint16, path, numberPath string) (uint32, error) {
	for _, a := range actions {
		if a.name != name {
			continue
		}
		switch {
		case number == nil && a.errno:
			return a.value | eperm, nil
		case number == nil:
			return a.value, nil
		case !a.errno:
			return 0, fmt.Errorf("%s: %s has none", numberPath, name)
		case *number > maxErrno:
			return 0, fmt.Errorf("%s: %d is out of range", numberPath, *number)
		}
		return a.value | uint32(*number), nil
	}
	if name == "SCMP_ACT_NOTIFY" {
		return 0, fmt.Errorf("%s: %s is not supported", path, name)
	}
	return 0, fmt.Errorf("%s: unknown action %q", path, name)
}

// flagNames are the flags of the system call; those without a value have no
// meaning for a process of one thread, or without a listener.
var flagNames = [...]struct {
	name  string
	value uint
}{
	{"SECCOMP_FILTER_FLAG_TSYNC", 0},
	{"SECCOMP_FILTER_FLAG_LOG", 1 << 1},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1 << 2},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0},
}

func (p *profile) flags() (set uint, err error) {
	for i, name := range p.Flags {
		known := false
		for _, f := range flagNames {
			if f.name == name {
				known, set = true, set|f.value
			}
		}
		if !known {
			return 0, fmt.Errorf("flags[%d]: unknown flag %q", i, name)
		}
	}
	return set, nil
}

// counts reports whether a rule counts on a machine.
func (r *rule) counts(m *Machine) bool {
	name := m.Arch
	if a := archOf(m.Arch); a != nil && a.docker != "" {
		name = a.docker
	}
	in, ex := &r.Includes, &r.Excludes
	lacks := func(c string) bool { return !m.Capabilities(c) }
	switch {
	case slices.ContainsFunc(in.Caps, lacks), slices.ContainsFunc(ex.Caps, m.Capabilities):
		return false
	case len(in.Arches) > 0 && !slices.Contains(in.Arches, name), slices.Contains(ex.Arches, name):
		return false
	}
	return (in.MinKernel == "" || atLeast(m.Kernel, in.MinKernel)) && (ex.MinKernel == "" || !atLeast(m.Kernel, ex.MinKernel))
}

// atLeast compares the first two numbers of releases.
func atLeast(release, least string) bool {
	a, b := version(release), version(least)
	return a[0] > b[0] || a[0] == b[0] && a[1] >= b[1]
}

func version(s string) (v [2]int) {
	for i, part := range strings.SplitN(s, ".", 3) {
		if i == len(v) {
			break
		}
		if end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			part = part[:end]
		}
		v[i], _ = strconv.Atoi(part)
	}
	return v
}
