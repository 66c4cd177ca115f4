package freebsd

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"onset/vm"
	"onset/vm/script"
)

// consoleScript has the files of the machine that is for people.
//
//go:embed console.txt
var consoleScript string

const consoleTime = 24 * time.Hour

// Console boots our init, built from the tree at module, on the files of the
// folder jobs, with standard input and output as the machine's console. It
// returns when the machine has ended. With ONSET_FREEBSD_BOOT it is up to the
// command whether what is typed arrives.
func Console(module, jobs string) error {
	byCommand := os.Getenv(BootVariable) != ""
	if !byCommand {
		if os.Getenv(ImageVariable) == "" {
			return fmt.Errorf("set %s or %s (go doc ./vm/freebsd)", ImageVariable, BootVariable)
		}
		if err := imageNeeds(); err != nil {
			return err
		}
	}
	s, err := consoleMachine(jobs)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "onset-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("== building init and guest for FreeBSD")
	programs := filepath.Join(dir, "programs")
	if err := buildAll(module, programs); err != nil {
		return err
	}
	if byCommand {
		return consoleByCommand(dir, programs, s)
	}
	return consoleByImage(dir, programs, s)
}

func consoleMachine(jobs string) (*script.Script, error) {
	s, err := script.Parse(consoleScript)
	if err != nil {
		return nil, err
	}
	return s, s.AddJobs(jobs)
}

func consoleByCommand(dir, programs string, s *script.Script) error {
	overlay := filepath.Join(dir, "root")
	init, err := root(overlay, programs, s)
	if err != nil {
		return err
	}
	defer raw(os.Stdin)()
	cmd := command(context.Background(), init, overlay, consoleTime)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func consoleByImage(dir, programs string, s *script.Script) error {
	fmt.Println("== booting; Ctrl-A X ends the machine, as \"poweroff\" does")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m, err := startImage(ctx, programs, dir, s, vm.Output(os.Stdout))
	if err != nil {
		return err
	}
	defer m.Kill()
	defer raw(os.Stdin)()
	go func() {
		const ctrlA = 1
		var last byte
		for b := make([]byte, 1); ; {
			if _, err := io.ReadFull(os.Stdin, b); err != nil {
				return
			}
			if last == ctrlA && b[0]|0x20 == 'x' {
				cancel()
			}
			if last = b[0]; last != ctrlA {
				m.Send(string(b))
			}
		}
	}()
	_, err = m.Wait(consoleTime)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// raw gives the terminal to the machine, which shows what is typed itself,
// until the function it returns is called.
func raw(terminal *os.File) func() {
	saved, err := unix.IoctlGetTermios(int(terminal.Fd()), getTermios)
	if err != nil {
		return func() {}
	}
	ours := *saved
	ours.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
	ours.Iflag &^= unix.IXON | unix.ICRNL
	ours.Cc[unix.VMIN], ours.Cc[unix.VTIME] = 1, 0
	unix.IoctlSetTermios(int(terminal.Fd()), setTermios, &ours)
	return func() { unix.IoctlSetTermios(int(terminal.Fd()), setTermios, saved) }
}
