package freebsd

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	"onset/vm/script"
)

// howTo is what is printed where no machine can be booted.
const howTo = "vm/freebsd: SKIPPED: no FreeBSD machine is booted: set " + BootVariable + " to a command that boots one, " +
	"or " + ImageVariable + " to an image of FreeBSD for virtual machines (go doc ./vm/freebsd)\n"

func machineNeeds(t *testing.T) {
	t.Helper()
	switch {
	case os.Getenv(BootVariable) != "":
	case os.Getenv(ImageVariable) != "":
		if err := imageNeeds(); err != nil {
			t.Fatal(err) // asked for
		}
	default:
		os.Stderr.WriteString(howTo)
		t.Skip("neither variable is set")
	}
}

var folders = []string{filepath.Join("..", "testdata"), "testdata"}

func TestBoot(t *testing.T) {
	machineNeeds(t)
	programs := t.TempDir()
	if err := build("guest", programs, "."); err != nil {
		t.Fatal(err)
	}
	initBuilt := sync.OnceValue(func() error { return build(filepath.Join("..", ".."), programs, underTest...) })
	script.Each(t, func(t *testing.T, s *script.Script) {
		t.Parallel()
		if !s.BringsInit() {
			if err := initBuilt(); err != nil {
				t.Fatal(err)
			}
		}
		if os.Getenv(BootVariable) != "" {
			byCommand(t, s, programs)
		} else {
			byImage(t, s, programs)
		}
	}, folders...)
}

var playFailed = regexp.MustCompile(`(?m)^play: .*`)

// byCommand has the guest play the script, and plays it on the transcript.
func byCommand(t *testing.T, s *script.Script, programs string) {
	if len(s.Append) > 0 {
		t.Skipf("SKIPPED: %s tells the kernel nothing", BootVariable)
	}
	if s.Plugs {
		t.Skipf("SKIPPED: %s plugs no devices", BootVariable)
	}
	dir := t.TempDir()
	init, err := root(dir, programs, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(dir, script.File{Name: "/etc/play", Mode: 0o644, Data: []byte(s.Source)}); err != nil {
		t.Fatal(err)
	}
	m, err := bootCommand(context.Background(), init, dir, scriptTime, live())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(m)
	<-m.done
	if failed := playFailed.FindString(m.console.String()); failed != "" {
		t.Errorf("in the guest: %s", failed)
	}
	if err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("console:\n%s", m.console.String())
	}
}

func byImage(t *testing.T, s *script.Script, programs string) {
	presses := func(s script.Step) bool { return s.Text == "ctrl-alt-del" || s.Text == "power-button" }
	if a, err := guestArchitecture(); err == nil && !a.keys && slices.ContainsFunc(s.Steps, presses) {
		t.Skipf("SKIPPED: neither keyboard nor power button reach a machine that is %s", a.goarch)
	}
	m, err := startImage(context.Background(), programs, t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Kill()
	if err := s.Run(m); err != nil {
		t.Fatalf("%v\nconsole:\n%s", err, m.Console())
	}
}
