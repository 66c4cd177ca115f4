package script

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	expectTime = 10 * time.Second // without another in the script
	endTime    = 20 * time.Second
)

// The ways in which a machine ends by itself.
const (
	Off   = "off"
	Reset = "reset"
	Panic = "panic" // of the kernel

	OffOrReset = "off or reset" // one of them, and nothing told which
)

// panicText is what kernels print before they end the machine.
var panicText = regexp.MustCompile(`(?m)^panic: |Kernel panic - not syncing`)

// Target is the machine that a script is played on. Time-outs are those of a
// fast machine.
type Target interface {
	Send(text string) error                                         // types at the console
	Expect(pattern string, timeout time.Duration) ([]string, error) // as Console
	Console() string                                                // all that was printed until now
	CtrlAltDel() error
	PowerButton() error
	Plug(device string) error                   // driver[,property=value]... of QEMU
	Unplug(id string) error                     // of what Plug has plugged: the driver, if it says no other
	Wake(slept time.Duration) error             // once it sleeps, when it has slept for so long
	Wait(timeout time.Duration) (string, error) // how it ended by itself: Off, Reset or OffOrReset
}

// Script is one file: settings of the machine, what to do with it, files of
// its root.
type Script struct {
	Source  string
	Append  []string // for the kernel
	Memory  int      // MiB, or 0
	Modules []string // of Linux
	Borrows []string // files of a Linux host
	Plugs   bool     // devices of the host
	Steps   []Step
	Files   []File
}

// Step is one line.
type Step struct {
	Line int
	Text string
	do   func(Target) error
}

// File is one of the guest's; Link is the target of a symbolic link.
type File struct {
	Name, Link string
	Mode       uint32
	Data       []byte
}

var marker = regexp.MustCompile(`^-- (/\S*)(?: ([0-7]{4})( base64)?| -> (\S+))? --$`)

// Parse reads a script. Errors begin with the line.
func Parse(text string) (*Script, error) {
	s := &Script{Source: text}
	var encoded []int // of Files
	for i, line := range strings.SplitAfter(text, "\n") {
		bare := strings.TrimSuffix(line, "\n")
		if m := marker.FindStringSubmatch(bare); m != nil {
			mode, _ := strconv.ParseUint("0"+m[2], 8, 32)
			if m[2] == "" {
				mode = 0o644
			}
			if m[3] != "" {
				encoded = append(encoded, len(s.Files))
			}
			s.Files = append(s.Files, File{Name: m[1], Mode: uint32(mode), Link: m[4]})
		} else if n := len(s.Files); n > 0 {
			s.Files[n-1].Data = append(s.Files[n-1].Data, line...)
		} else if err := s.command(i+1, strings.TrimSpace(bare)); err != nil {
			return nil, fmt.Errorf("%d: %v", i+1, err)
		}
	}
	for _, i := range encoded {
		f := &s.Files[i]
		data, err := base64.StdEncoding.DecodeString(string(f.Data))
		if err != nil {
			return nil, fmt.Errorf("%s: %v", f.Name, err)
		}
		f.Data = data
	}
	return s, nil
}

func (s *Script) command(line int, text string) error {
	if text == "" || text[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	var err error
	switch word {
	case "append":
		s.Append = append(s.Append, strings.Fields(rest)...)
		return nil
	case "modules":
		s.Modules = append(s.Modules, strings.Fields(rest)...)
		return nil
	case "borrow":
		s.Borrows = append(s.Borrows, strings.Fields(rest)...)
		return nil
	case "memory":
		s.Memory, err = strconv.Atoi(rest)
		return err
	}
	s.Plugs = s.Plugs || word == "plug"
	do, err := action(word, rest)
	s.Steps = append(s.Steps, Step{line, text, do})
	return err
}

// action is what one line does with the machine.
func action(word, rest string) (func(Target) error, error) {
	switch word {
	case "send":
		return func(m Target) error { return m.Send(rest + "\n") }, nil
	case "expect":
		return expect(rest)
	case "reject":
		re, err := regexp.Compile("(?m)" + rest)
		return func(m Target) error { return reject(m, re) }, err
	case "ctrl-alt-del":
		return Target.CtrlAltDel, nil
	case "power-button":
		return Target.PowerButton, nil
	case "plug":
		return func(m Target) error { return m.Plug(rest) }, nil
	case "unplug":
		return func(m Target) error { return m.Unplug(rest) }, nil
	case "wake":
		slept, err := time.ParseDuration(rest)
		return func(m Target) error { return m.Wake(slept) }, err
	case "ends":
		if !slices.Contains([]string{Off, Reset, Panic}, rest) {
			return nil, fmt.Errorf("no machine ends as %q", rest)
		}
		return func(m Target) error { return Ends(m, rest) }, nil
	}
	return nil, fmt.Errorf("unknown command %q", word)
}

func expect(rest string) (func(Target) error, error) {
	timeout := expectTime
	first, pattern, _ := strings.Cut(rest, " ")
	if d, err := time.ParseDuration(first); err == nil {
		timeout, rest = d, pattern
	}
	if rest == "" {
		return nil, errors.New("expect without a pattern")
	}
	_, err := regexp.Compile(rest)
	return func(m Target) error {
		_, err := m.Expect(rest, timeout)
		return err
	}, err
}

func reject(m Target, re *regexp.Regexp) error {
	if hit := re.FindString(m.Console()); hit != "" {
		return fmt.Errorf("%q is on the console", hit)
	}
	return nil
}

// Ends waits for the machine's end and fails if it is another than that.
func Ends(m Target, want string) error {
	got, err := m.Wait(endTime)
	switch {
	case got == Reset && panicText.MatchString(m.Console()):
		got = Panic
	case got == OffOrReset && want != Panic:
		return err
	}
	if err == nil && got != want {
		err = fmt.Errorf("the machine ended as %q", got)
	}
	return err
}

// Run carries the steps out; the error names the line that failed.
func (s *Script) Run(m Target) error {
	for _, step := range s.Steps {
		if err := step.Do(m); err != nil {
			return err
		}
	}
	return nil
}

// Do carries one step out; the error names its line.
func (s Step) Do(m Target) error {
	if err := s.do(m); err != nil {
		return fmt.Errorf("%d: %s: %v", s.Line, s.Text, err)
	}
	return nil
}

// BringsInit says whether process 1 is the script's own.
func (s *Script) BringsInit() bool {
	return slices.ContainsFunc(s.Files, func(f File) bool { return f.Name == "/init" })
}

// AddJobs gives the guest the job files of a folder.
func (s *Script) AddJobs(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("no job files in %q", dir)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s.Files = append(s.Files, File{Name: "/etc/init/" + filepath.Base(name), Mode: 0o644, Data: text})
	}
	return nil
}
