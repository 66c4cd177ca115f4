package vm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Accelerator is how QEMU runs the guest's code.
type Accelerator struct {
	Name  string
	CPU   string // model for -cpu
	Scale int    // factor for time-outs, which machines with other work may need
}

// The accelerators of a Linux host.
var (
	KVM = Accelerator{Name: "kvm", CPU: "host", Scale: 4}
	TCG = Accelerator{Name: "tcg", CPU: "max", Scale: 20} // emulation
)

// bootSector writes 0x10 to the debug-exit port, upon which QEMU exits with
// sectorStatus, and halts.
var bootSector = []byte{0xb0, 0x10, 0xe6, 0xf4, 0xf4}

const (
	sectorStatus = 0x10<<1 | 1
	probeTime    = 3 * time.Second
)

// BestAccelerator is KVM where a trivial guest runs with it, and TCG
// otherwise: /dev/kvm may open and its guests hang. The first call takes up
// to three seconds.
var BestAccelerator = sync.OnceValue(func() Accelerator {
	if _, err := os.Stat("/dev/kvm"); err == nil && probe(KVM, probeTime) == nil {
		return KVM
	}
	return TCG
})

// probe boots a guest of five bytes.
func probe(a Accelerator, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "onset-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	image := make([]byte, 512)
	copy(image, bootSector)
	copy(image[510:], "\x55\xaa")
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, image, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program, "-accel", a.Name, "-cpu", a.CPU, "-m", "16", "-no-user-config", "-nodefaults",
		"-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
		"-drive", "file="+disk+",format=raw,if=floppy")
	cmd.SysProcAttr = dieWithUs()
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == sectorStatus {
		return nil
	}
	if err == nil {
		err = errors.New("the guest did not end by itself")
	}
	return err
}
