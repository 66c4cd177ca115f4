package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"onset/vm/script"
)

// BootVariable names the command that boots a machine.
const BootVariable = "ONSET_FREEBSD_BOOT"

// Exit statuses of the command.
const (
	statusPanic   = 3
	statusTimeout = 124
)

// scriptTime is more than any script takes.
const scriptTime = 10 * time.Minute

// What the kernel prints last. Where firmware does both (PSCI of arm64) it
// prints nothing.
var (
	resetText = regexp.MustCompile(`(?m)^(Rebooting\.\.\.|cpu_reset)`)
	offText   = regexp.MustCompile(`(?m)^acpi\d+: Powering system off`)
)

// transcript is a machine that plays its script itself: what it prints is
// looked at in the same order.
type transcript struct {
	console *script.Console
	limit   time.Duration
	done    chan struct{}
	err     error // of the command, valid after done
}

// bootCommand starts a machine; what it prints is copied to output.
func bootCommand(ctx context.Context, init, overlay string, limit time.Duration, output io.Writer) (*transcript, error) {
	t := &transcript{console: script.NewConsole(), limit: limit, done: make(chan struct{})}
	cmd := command(ctx, init, overlay, limit)
	cmd.Stdout = io.MultiWriter(t.console, output)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		t.err = cmd.Wait()
		t.console.End()
		close(t.done)
	}()
	return t, nil
}

func command(ctx context.Context, init, overlay string, limit time.Duration) *exec.Cmd {
	words := append(strings.Fields(os.Getenv(BootVariable)), init, overlay, strconv.Itoa(int(limit.Seconds())))
	return exec.CommandContext(ctx, words[0], words[1:]...)
}

// The guest types and presses.
func (t *transcript) Send(string) error  { return nil }
func (t *transcript) CtrlAltDel() error  { return nil }
func (t *transcript) PowerButton() error { return nil }

// byCommand skips what plugs and wakes.
func (t *transcript) Plug(string) error        { return errors.ErrUnsupported }
func (t *transcript) Unplug(string) error      { return errors.ErrUnsupported }
func (t *transcript) Wake(time.Duration) error { return errors.ErrUnsupported }

// Expect leaves it to the guest and to the command how long things may take.
func (t *transcript) Expect(pattern string, _ time.Duration) ([]string, error) {
	return t.console.Expect(pattern, t.limit+time.Minute)
}

// Console is what the guest has looked at by now, and at the end all.
func (t *transcript) Console() string {
	all := t.console.String()
	select {
	case <-t.done:
		return all
	default:
		return all[:t.console.Seen()]
	}
}

// Wait returns how the machine ended.
func (t *transcript) Wait(time.Duration) (string, error) {
	<-t.done
	var exit *exec.ExitError
	switch {
	case t.err == nil && resetText.MatchString(t.console.String()):
		return script.Reset, nil
	case t.err == nil && offText.MatchString(t.console.String()):
		return script.Off, nil
	case t.err == nil:
		return script.OffOrReset, nil
	case errors.As(t.err, &exit) && exit.ExitCode() == statusPanic:
		return script.Panic, nil
	case errors.As(t.err, &exit) && exit.ExitCode() == statusTimeout:
		return "", fmt.Errorf("the machine was still running after %v", t.limit)
	}
	return "", fmt.Errorf("%s: %v", os.Getenv(BootVariable), t.err)
}
