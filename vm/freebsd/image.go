package freebsd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"onset/vm"
	"onset/vm/script"
)

// ImageVariable names the disk image of a release.
const ImageVariable = "ONSET_FREEBSD_IMAGE"

// isoTool makes the ISO; Debian's package has the name of the program.
const isoTool = "xorriso"

// isoLabel is the name of the root, whatever the disk is called.
const isoLabel = "ONSET"

const (
	firmwareTime = 60 * time.Second // to the loader
	typeTime     = 10 * time.Second
)

// imageNeeds returns an error that says what a machine of the image lacks here.
func imageNeeds() error {
	a, err := guestArchitecture()
	if err != nil {
		return err
	}
	for _, tool := range []string{a.program, isoTool} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	d, err := readDisk(os.Getenv(ImageVariable))
	if err == nil && d.uefi {
		_, err = a.uefi()
	}
	if err != nil {
		return fmt.Errorf("%s: %v", ImageVariable, err)
	}
	return nil
}

// imageMachine writes the ISO and returns the options of the machine that boots
// from the image and has the ISO as its second disk.
func imageMachine(overlay, iso string, s *script.Script) ([]vm.Option, error) {
	out, err := exec.Command(isoTool, "-as", "mkisofs", "-quiet", "-R", "-V", isoLabel, "-uid", "0", "-gid", "0", "-o", iso, overlay).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("cannot make an ISO: %v\n%s", err, out)
	}
	image := os.Getenv(ImageVariable)
	a, err := guestArchitecture()
	if err != nil {
		return nil, err
	}
	d, err := readDisk(image)
	if err != nil {
		return nil, err
	}
	firmware := []string{"-machine", a.machine}
	if d.uefi {
		more, err := a.uefi()
		if err != nil {
			return nil, err
		}
		firmware = append(firmware, more...)
	} else { // so that the BIOS has screen and keyboard on the serial line, too
		firmware[1] += ",graphics=off"
	}
	options := []vm.Option{vm.Emulator(a.program), vm.Memory(max(s.Memory, 768)), vm.Arguments(firmware...), vm.Arguments(a.devices...),
		vm.Arguments("-drive", fmt.Sprintf("file=%s,format=%s,if=virtio,snapshot=on", image, d.format),
			"-drive", fmt.Sprintf("file=%s,format=raw,if=virtio,media=cdrom,readonly=on", iso), "-device", "qemu-xhci")}
	if a.accelerator != nil {
		options = append(options, vm.WithAccelerator(*a.accelerator))
	}
	return options, nil
}

// bootImage types at the loader what boots the kernel of the image with the
// root on the ISO, and process 1 from there.
func bootImage(m *vm.Machine, init string, variables []string) error {
	if _, err := m.Expect(shown("Autoboot in")+"|"+shown("Hit [Enter]"), firmwareTime); err != nil {
		return err
	}
	if err := m.Send("3"); err != nil { // the prompt, in the menu; any key, without
		return err
	}
	settings := []string{"kern.racct.enable=1", "vfs.root.mountfrom=cd9660:/dev/iso9660/" + isoLabel, "init_path=" + init}
	for _, setting := range append(settings, variables...) {
		if err := typeLine(m, "set "+setting); err != nil {
			return err
		}
	}
	// In one line of Lua, since a BIOS that has the serial line's input takes part
	// of what is typed after the first half. The loader says by this variable where
	// the kernel has its console; boot_serial does not where it has none itself.
	return typeLine(m, `loader.setenv("console","comconsole") cli_execute("boot")`)
}

// moved is how firmware moves the cursor and changes colours.
const moved = `(?:\x1b\[[0-9;?=]*[A-Za-z]|\x08)*`

// shown is the pattern for a text between whose characters the cursor moves.
func shown(text string) string {
	var pattern strings.Builder
	for _, c := range text {
		pattern.WriteString(moved + regexp.QuoteMeta(string(c)))
	}
	return pattern.String()
}

// typeLine types a few characters and waits for their echo: firmware loses what
// comes faster than it reads, but for the last 15 (the keyboard of a BIOS).
func typeLine(m *vm.Machine, line string) error {
	if _, err := m.Expect(shown("OK ")+moved+"$", typeTime); err != nil {
		return err
	}
	const few = 8
	for part := range slices.Chunk([]byte(line), few) {
		if err := m.Send(string(part)); err != nil {
			return err
		}
		if _, err := m.Expect(shown(string(part)), typeTime); err != nil {
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
