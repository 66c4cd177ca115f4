// Package vm runs virtual machines in QEMU for tests: it boots a kernel with
// an initramfs, or what firmware finds on disks, reads and types at the serial
// console, presses Ctrl-Alt-Del and the power button, and says how the machine
// ended.
//
// A Machine is one QEMU process. It ends with its context, with Kill, and on
// Linux with the test process. Its methods are called from one goroutine;
// Console and Kill from any. Time-outs are what a fast machine needs: they are
// multiplied by the accelerator's Scale.
package vm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/vm/script"
)

// Program is the QEMU for guests that are amd64, as all are without Emulator.
const Program = "qemu-system-x86_64"

// Option sets one thing of a machine that is started.
type Option func(*config)

type config struct {
	program        string
	kernel, initrd string
	append, more   []string
	memory, cpus   int
	accel          *Accelerator
	output         io.Writer
}

// Emulator names the QEMU for guests of another kind [Program].
func Emulator(program string) Option { return func(c *config) { c.program = program } }

// Kernel names the kernel image that QEMU boots itself.
func Kernel(path string) Option { return func(c *config) { c.kernel = path } }

// Initrd names the archive that becomes the root file system.
func Initrd(path string) Option { return func(c *config) { c.initrd = path } }

// Append adds to the kernel command line, which names the console and makes a
// panic end the machine.
func Append(args ...string) Option { return func(c *config) { c.append = append(c.append, args...) } }

// Arguments are more of those of QEMU, such as firmware and disks.
func Arguments(args ...string) Option { return func(c *config) { c.more = append(c.more, args...) } }

// Memory is in MiB [256].
func Memory(mib int) Option { return func(c *config) { c.memory = mib } }

// CPUs is the number of processors [1].
func CPUs(n int) Option { return func(c *config) { c.cpus = n } }

// WithAccelerator chooses how code runs [BestAccelerator].
func WithAccelerator(a Accelerator) Option { return func(c *config) { c.accel = &a } }

// Output is where what the console shows is copied to.
func Output(w io.Writer) Option { return func(c *config) { c.output = w } }

// endings are the words of QEMU for how a machine ended by itself; a kernel
// panic is a reset.
var endings = map[string]string{"guest-shutdown": script.Off, "guest-reset": script.Reset}

// Machine is a running guest.
type Machine struct {
	console *script.Console
	stdin   io.WriteCloser
	monitor *monitor
	scale   time.Duration
	cancel  context.CancelFunc
	done    chan struct{} // closed when QEMU is gone and its output read
	err     error         // how QEMU exited, valid after done
	stderr  strings.Builder
}

// commandLine is what every kernel is told. Its check of the timer fails on a
// busy host where interrupts come late; a kernel that knows of its hypervisor
// leaves it out by itself.
var commandLine = []string{"console=ttyS0", "panic=-1", "no_timer_check"}

func newConfig(options []Option) *config {
	c := &config{program: Program, memory: 256, cpus: 1, append: slices.Clone(commandLine), output: io.Discard}
	for _, option := range options {
		option(c)
	}
	if c.accel == nil {
		a := BestAccelerator()
		c.accel = &a
	}
	return c
}

// Start boots a machine that runs until the context ends, at the latest.
func Start(ctx context.Context, options ...Option) (*Machine, error) {
	c := newConfig(options)
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &Machine{console: script.NewConsole(), scale: time.Duration(c.accel.Scale), cancel: cancel, done: make(chan struct{})}
	cmd := exec.CommandContext(ctx, c.program, c.args(
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=monitor,fd=3", "-mon", "chardev=monitor,mode=control")...)
	cmd.SysProcAttr = dieWithUs()
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	cmd.Stdout, cmd.Stderr = io.MultiWriter(m.console, c.output), &m.stderr
	if m.stdin, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	theirs.Close() // so that the connection ends with QEMU
	if err != nil {
		cancel()
		ours.Close()
		return nil, err
	}
	m.monitor = newMonitor(ours)
	go func() {
		m.err = cmd.Wait()
		m.console.End()
		close(m.done)
	}()
	if err := m.monitor.execute("qmp_capabilities", nil); err != nil { // there are no events before
		m.Kill()
		return nil, fmt.Errorf("%v: %v %s", err, m.err, m.stderr.String())
	}
	return m, nil
}

// Interact boots a machine whose console is the terminal of this program, and
// returns when it has ended. Ctrl-A is for QEMU: with X it ends the machine.
func Interact(options ...Option) error {
	c := newConfig(options)
	cmd := exec.Command(c.program, c.args("-serial", "mon:stdio")...)
	cmd.SysProcAttr = dieWithUs()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// args are those of QEMU, with what there is besides processor and memory.
func (c *config) args(devices ...string) []string {
	args := []string{
		"-accel", c.accel.Name, "-cpu", c.accel.CPU, "-m", strconv.Itoa(c.memory), "-smp", strconv.Itoa(c.cpus),
		"-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
	}
	if c.kernel != "" {
		args = append(args, "-kernel", c.kernel, "-append", strings.Join(c.append, " "))
	}
	if c.initrd != "" {
		args = append(args, "-initrd", c.initrd)
	}
	return append(append(args, c.more...), devices...)
}

// socketpair makes the two ends of the monitor's connection.
func socketpair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket pair: %v", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "monitor"), os.NewFile(uintptr(fds[1]), "monitor of qemu"), nil
}

// StartT is Start for a test: the machine is gone when the test ends, and the
// log of a test that failed holds all of the console.
func StartT(t testing.TB, options ...Option) *Machine {
	t.Helper()
	m, err := Start(context.Background(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Kill()
		if t.Failed() {
			t.Logf("console:\n%s\nqemu: %v %s", m.Console(), m.err, m.stderr.String())
		}
	})
	return m
}

// Expect waits until the console shows the pattern behind what was matched
// before, and returns the match and its groups. "^" and "$" match at lines.
func (m *Machine) Expect(pattern string, timeout time.Duration) ([]string, error) {
	return m.console.Expect(pattern, timeout*m.scale)
}

// Send types at the console.
func (m *Machine) Send(text string) error {
	_, err := io.WriteString(m.stdin, text)
	return err
}

// Console is all that was printed until now, without carriage returns.
func (m *Machine) Console() string { return m.console.String() }

// CtrlAltDel presses the three keys.
func (m *Machine) CtrlAltDel() error {
	key := func(name string) any { return map[string]string{"type": "qcode", "data": name} }
	return m.monitor.execute("send-key", map[string]any{"keys": []any{key("ctrl"), key("alt"), key("delete")}})
}

// PowerButton presses it, which a guest hears by ACPI (module "button").
func (m *Machine) PowerButton() error { return m.monitor.execute("system_powerdown", nil) }

// unplugTime is how long a guest may take to let a device go.
const unplugTime = 10 * time.Second

// Plug connects a device to a bus that the machine has for it: a driver of
// QEMU's and its properties, as -device has them. Its id is the driver's name
// if it is given none.
func (m *Machine) Plug(device string) error {
	driver, rest, _ := strings.Cut(device, ",")
	properties := map[string]string{"driver": driver, "id": driver}
	for property := range strings.SplitSeq(rest, ",") {
		if key, value, ok := strings.Cut(property, "="); ok {
			properties[key] = value
		}
	}
	return m.monitor.execute("device_add", properties)
}

// Unplug takes away the device of an id, and returns when it is gone.
func (m *Machine) Unplug(id string) error { return m.monitor.unplug(id, unplugTime*m.scale) }

// sleepTime is how long a guest may take to fall asleep.
const sleepTime = 20 * time.Second

// Wake waits until the guest sleeps, and wakes it when it has slept for so long.
func (m *Machine) Wake(slept time.Duration) error {
	return m.monitor.wake(slept, sleepTime*m.scale)
}

// Wait returns how the machine ended: script.Off or script.Reset. It is an
// error if it runs on, or ended otherwise.
func (m *Machine) Wait(timeout time.Duration) (string, error) {
	timer := time.NewTimer(timeout * m.scale)
	defer timer.Stop()
	select {
	case <-m.done:
	case <-timer.C:
		return "", fmt.Errorf("the machine is still running after %v%s", timeout*m.scale, m.console.Tail())
	}
	reason := m.monitor.shutdown()
	if endings[reason] == "" || m.err != nil {
		return "", fmt.Errorf("qemu ended the machine: %s %v %s", reason, m.err, m.stderr.String())
	}
	return endings[reason], nil
}

// Kill ends the machine and returns when QEMU is gone.
func (m *Machine) Kill() {
	m.cancel()
	<-m.done
	m.monitor.close()
}
