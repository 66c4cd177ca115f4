//go:build freebsd

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onset/vm/script"
)

const (
	playFile  = "/etc/play"       // the script
	stateFile = "/tmp/play.state" // steps taken, and bytes of the console matched
	playScale = 5                 // for time-outs: this may be emulation
	pollTime  = 100 * time.Millisecond
)

// player is a machine that is its own host: what it types its shell runs, and
// the console is read from the kernel.
type player struct {
	script  *script.Script
	console *script.Console
	shell   *sh
	status  int
}

// newPlayer returns nil where there is nothing to play.
func newPlayer() (*player, error) {
	text, err := os.ReadFile(playFile)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := script.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s:%v", playFile, err)
	}
	return &player{script: s, console: script.NewConsole()}, nil
}

// play goes on where the shell before it stood. What fails is shown and ends
// the machine.
func (p *player) play(s *sh) int {
	p.shell = s
	done, seen := 0, 0
	if state, err := os.ReadFile(stateFile); err == nil {
		fmt.Sscan(string(state), &done, &seen)
	}
	p.read()
	p.console.Skip(seen)
	go func() {
		for {
			time.Sleep(pollTime)
			p.read()
		}
	}()
	os.Stdout.WriteString(prompt())
	for ; done < len(p.script.Steps); done++ {
		step := p.script.Steps[done]
		state := fmt.Sprint(done+1, p.console.Seen())
		if err := os.WriteFile(stateFile, []byte(state), 0o600); err != nil {
			return p.fail(err)
		}
		if err := step.Do(p); err != nil {
			return p.fail(err)
		}
		if s.runner.Exited() {
			return p.status
		}
	}
	select {}
}

// fail ends the machine by the kernel alone.
func (p *player) fail(err error) int {
	fmt.Printf("\nplay: %v\n", err)
	unix.Sync()
	const powerOff = 0x4000 // RB_POWEROFF
	syscall.Syscall(syscall.SYS_REBOOT, powerOff, 0, 0)
	return 1
}

// read takes what the kernel has of the console and was not seen yet. Once it
// has forgotten the beginning, new text is what follows the end of the old.
func (p *player) read() {
	const overlap = 400
	all, err := messages()
	if err != nil {
		return
	}
	have := p.console.String()
	rest, ok := strings.CutPrefix(all, have)
	if !ok {
		last := have[max(0, len(have)-overlap):]
		i := strings.LastIndex(all, last)
		if i < 0 {
			return
		}
		rest = all[i+len(last):]
	}
	if rest != "" {
		p.console.Write([]byte(rest))
	}
}

// Send shows the command as a terminal would, and runs it.
func (p *player) Send(text string) error {
	os.Stdout.WriteString(text)
	p.status = p.shell.run(text)
	if !p.shell.runner.Exited() {
		os.Stdout.WriteString(prompt())
	}
	return nil
}

func (p *player) Expect(pattern string, timeout time.Duration) ([]string, error) {
	return p.console.Expect(pattern, timeout*playScale)
}

func (p *player) Console() string {
	p.read()
	return p.console.String()
}

// CtrlAltDel is what the kernel sends process 1 for the keys (init(8)).
func (p *player) CtrlAltDel() error { return syscall.Kill(1, syscall.SIGINT) }

// PowerButton is what the kernel sends process 1 for the button (acpi(4)).
func (p *player) PowerButton() error { return syscall.Kill(1, syscall.SIGUSR2) }

// Plug, Unplug and Wake are the host's.
func (p *player) Plug(string) error        { return errors.ErrUnsupported }
func (p *player) Unplug(string) error      { return errors.ErrUnsupported }
func (p *player) Wake(time.Duration) error { return errors.ErrUnsupported }

// Wait sees the end only if it does not come.
func (p *player) Wait(timeout time.Duration) (string, error) {
	time.Sleep(timeout * playScale)
	return "", errors.New("the machine is still running after " + strconv.Itoa(int(timeout.Seconds()*playScale)) + " s")
}
