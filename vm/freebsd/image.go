package freebsd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"onset/vm"
	"onset/vm/script"
)

// ImageVariable names the disk image of a release.
const ImageVariable = "ONSET_FREEBSD_IMAGE"

// isoTool makes the ISO; Debian's package has the name of the program.
const isoTool = "xorriso"

const (
	firmwareTime = 60 * time.Second // to the loader
	typeTime     = 10 * time.Second
)

// firmware for 64-bit machines, in one file or without its variables.
var firmware = []struct{ file, option string }{
	{"/usr/share/ovmf/OVMF.fd", "-bios"},
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "-drive"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "-drive"},
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "-drive"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "-drive"},
	{"/usr/share/qemu/edk2-x86_64-code.fd", "-drive"},
}

// imageNeeds returns an error that says what a machine of the image lacks here.
func imageNeeds() error {
	for _, tool := range []string{vm.Program, isoTool} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	if _, err := os.Stat(os.Getenv(ImageVariable)); err != nil {
		return fmt.Errorf("%s: %v", ImageVariable, err)
	}
	_, err := firmwareArguments()
	return err
}

func firmwareArguments() ([]string, error) {
	for _, f := range firmware {
		if _, err := os.Stat(f.file); err != nil {
			continue
		}
		if f.option == "-bios" {
			return []string{"-bios", f.file}, nil
		}
		return []string{"-drive", "if=pflash,format=raw,readonly=on,file=" + f.file}, nil
	}
	return nil, errors.New("no UEFI firmware for x86-64: install ovmf")
}

// imageFormat is what QEMU calls the format of an image.
func imageFormat(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	magic := make([]byte, 6)
	f.Read(magic)
	switch {
	case strings.HasPrefix(string(magic), "QFI\xfb"):
		return "qcow2", nil
	case string(magic) == "\xfd7zXZ\x00":
		return "", fmt.Errorf("%q is compressed: unpack it with unxz", name)
	}
	return "raw", nil
}

// imageMachine writes the ISO and returns the options of the machine that boots
// from the image and has the ISO in its drive.
func imageMachine(overlay, iso string, s *script.Script) ([]vm.Option, error) {
	out, err := exec.Command(isoTool, "-as", "mkisofs", "-quiet", "-R", "-uid", "0", "-gid", "0", "-o", iso, overlay).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("cannot make an ISO: %v\n%s", err, out)
	}
	image := os.Getenv(ImageVariable)
	format, err := imageFormat(image)
	if err != nil {
		return nil, err
	}
	bios, err := firmwareArguments()
	if err != nil {
		return nil, err
	}
	return []vm.Option{vm.Memory(max(s.Memory, 768)), vm.Arguments(bios...), vm.Arguments("-machine", "q35", "-vga", "std",
		"-drive", fmt.Sprintf("file=%s,format=%s,if=virtio,snapshot=on", image, format), "-cdrom", iso)}, nil
}

// bootImage types at the loader what boots the kernel of the image with the
// root on the ISO, and process 1 from there.
func bootImage(m *vm.Machine, init string, variables []string) error {
	if _, err := m.Expect(`Autoboot in|Hit \[Enter\]`, firmwareTime); err != nil {
		return err
	}
	if err := m.Send("3"); err != nil { // the prompt, in the menu; any key, without
		return err
	}
	settings := append([]string{"boot_serial=YES", "boot_multicons=YES", "kern.racct.enable=1", "vfs.root.mountfrom=cd9660:/dev/cd0", "init_path=" + init}, variables...)
	for _, setting := range settings {
		if err := typeLine(m, "set "+setting); err != nil {
			return err
		}
	}
	return typeLine(m, "boot")
}

// typeLine waits for the echo of each character: firmware loses what comes
// faster than it reads.
func typeLine(m *vm.Machine, line string) error {
	if _, err := m.Expect(`OK $`, typeTime); err != nil {
		return err
	}
	for _, c := range line {
		if err := m.Send(string(c)); err != nil {
			return err
		}
		if _, err := m.Expect(regexp.QuoteMeta(string(c)), typeTime); err != nil {
			return err
		}
	}
	return m.Send("\r")
}

// startImage boots the machine of a script up to its kernel.
func startImage(ctx context.Context, programs, dir string, s *script.Script, options ...vm.Option) (*vm.Machine, error) {
	overlay := filepath.Join(dir, "root")
	if _, err := root(overlay, programs, s); err != nil {
		return nil, err
	}
	machine, err := imageMachine(overlay, filepath.Join(dir, "root.iso"), s)
	if err != nil {
		return nil, err
	}
	m, err := vm.Start(ctx, append(machine, options...)...)
	if err != nil {
		return nil, err
	}
	init := "/bin/boot"
	if s.BringsInit() {
		init = "/init"
	}
	if err := bootImage(m, init, s.Append); err != nil {
		m.Kill()
		return nil, fmt.Errorf("%v\n%s", err, m.Console())
	}
	return m, nil
}
