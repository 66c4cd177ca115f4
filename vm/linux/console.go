package linux

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"onset/vm"
	"onset/vm/script"
)

// consoleScript has the files of the machine that is for people.
//
//go:embed console.txt
var consoleScript string

const (
	prompt      = "^# "
	commandTime = 10 * time.Minute // of what somebody typed
)

// Console boots our init, built from the tree at module, on the files of the
// folder jobs, with the terminal as the machine's console. It returns when the
// machine has ended. What the guest needs besides is in the folder cache.
func Console(module, jobs, cache string) error {
	kernel, busybox, err := needs(cache)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "onset-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("== building init")
	if err := buildInit(module, dir); err != nil {
		return err
	}
	options, err := consoleMachine(filepath.Join(dir, "initrd"), jobs, kernel, busybox, dir)
	if err != nil {
		return err
	}
	fmt.Println("== trying /dev/kvm")
	fmt.Printf("== booting Linux %s, accelerator %s\n", kernel.Version, vm.BestAccelerator().Name)
	if !vm.IsTerminal(os.Stdin) {
		return typeIn(os.Stdin, os.Stdout, options)
	}
	fmt.Println("== Ctrl-A X ends the machine, as \"poweroff\" does")
	return vm.Interact(options...)
}

// consoleMachine writes the initramfs of the machine and returns its options.
func consoleMachine(image, jobs string, kernel vm.LinuxKernel, busybox, programs string) ([]vm.Option, error) {
	s, err := script.Parse(consoleScript)
	if err != nil {
		return nil, err
	}
	if err := s.AddJobs(jobs); err != nil {
		return nil, err
	}
	return machine(s, image, busybox, programs, kernel)
}

// typeIn types each line of in at the console of a machine, once the one before
// is done, and shows all on out. Then the machine is switched off.
func typeIn(in io.Reader, out io.Writer, options []vm.Option) error {
	m, err := vm.Start(context.Background(), append(options, vm.Output(out))...)
	if err != nil {
		return err
	}
	defer m.Kill()
	lines := bufio.NewScanner(in)
	_, err = m.Expect(prompt, commandTime)
	for err == nil && lines.Scan() {
		if err = m.Send(lines.Text() + "\n"); err == nil {
			_, err = m.Expect(prompt, commandTime)
		}
	}
	if err == nil {
		err = lines.Err()
	}
	if err == nil {
		err = m.Send("poweroff\n")
	}
	if err != nil {
		return err
	}
	return script.Ends(m, script.Off)
}
