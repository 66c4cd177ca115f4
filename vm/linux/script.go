package linux

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"onset/vm"
	"onset/vm/initramfs"
)

const (
	expectTime = 10 * time.Second // without another in the script
	endTime    = 20 * time.Second
)

// script is one file of testdata: options of the machine, what to do with it,
// files of its root.
type script struct {
	options []vm.Option
	steps   []step
	files   []file
}

type step struct {
	line int
	text string
	do   func(*vm.Machine) error
}

type file struct {
	name, link string
	mode       uint32
	data       []byte
}

var marker = regexp.MustCompile(`^-- (/\S*)(?: ([0-7]{4})| -> (\S+))? --$`)

// parse reads a script. Errors begin with the line.
func parse(text string) (*script, error) {
	s := &script{}
	for i, line := range strings.SplitAfter(text, "\n") {
		bare := strings.TrimSuffix(line, "\n")
		if m := marker.FindStringSubmatch(bare); m != nil {
			mode, _ := strconv.ParseUint("0"+m[2], 8, 32)
			if m[2] == "" {
				mode = 0o644
			}
			s.files = append(s.files, file{name: m[1], mode: uint32(mode), link: m[3]})
		} else if n := len(s.files); n > 0 {
			s.files[n-1].data = append(s.files[n-1].data, line...)
		} else if err := s.command(i+1, strings.TrimSpace(bare)); err != nil {
			return nil, fmt.Errorf("%d: %v", i+1, err)
		}
	}
	return s, nil
}

func (s *script) command(line int, text string) error {
	if text == "" || text[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "append":
		s.options = append(s.options, vm.Append(strings.Fields(rest)...))
		return nil
	case "memory":
		mib, err := strconv.Atoi(rest)
		s.options = append(s.options, vm.Memory(mib))
		return err
	}
	do, err := action(word, rest)
	s.steps = append(s.steps, step{line, text, do})
	return err
}

// action is what one line does with the machine.
func action(word, rest string) (func(*vm.Machine) error, error) {
	switch word {
	case "send":
		return func(m *vm.Machine) error { return m.Send(rest + "\n") }, nil
	case "expect":
		return expect(rest)
	case "reject":
		re, err := regexp.Compile("(?m)" + rest)
		return func(m *vm.Machine) error { return reject(m, re) }, err
	case "ctrl-alt-del":
		return (*vm.Machine).CtrlAltDel, nil
	case "power-button":
		return (*vm.Machine).PowerButton, nil
	case "ends":
		return func(m *vm.Machine) error { return ends(m, rest) }, nil
	}
	return nil, fmt.Errorf("unknown command %q", word)
}

func expect(rest string) (func(*vm.Machine) error, error) {
	timeout := expectTime
	first, pattern, _ := strings.Cut(rest, " ")
	if d, err := time.ParseDuration(first); err == nil {
		timeout, rest = d, pattern
	}
	if rest == "" {
		return nil, errors.New("expect without a pattern")
	}
	_, err := regexp.Compile(rest)
	return func(m *vm.Machine) error {
		_, err := m.Expect(rest, timeout)
		return err
	}, err
}

func reject(m *vm.Machine, re *regexp.Regexp) error {
	if hit := re.FindString(m.Console()); hit != "" {
		return fmt.Errorf("%q is on the console", hit)
	}
	return nil
}

func ends(m *vm.Machine, want string) error {
	got, err := m.Wait(endTime)
	if err == nil && got != want {
		err = fmt.Errorf("the machine ended as %q", got)
	}
	return err
}

// run carries the steps out; the error names the line that failed.
func (s *script) run(m *vm.Machine) error {
	for _, step := range s.steps {
		if err := step.do(m); err != nil {
			return fmt.Errorf("%d: %s: %v", step.line, step.text, err)
		}
	}
	return nil
}

// bringsInit says whether process 1 is the script's own.
func (s *script) bringsInit() bool {
	return slices.ContainsFunc(s.files, func(f file) bool { return f.name == "/init" })
}

// add puts the files of the script into the root of its machine.
func (s *script) add(root *initramfs.Archive) {
	for _, f := range s.files {
		if f.link != "" {
			root.Symlink(f.name, f.link)
		} else {
			root.File(f.name, f.mode, f.data)
		}
	}
}
