package linux

import (
	"debug/elf"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"onset/vm"
	"onset/vm/initramfs"
	"onset/vm/script"
)

// needs returns what a guest needs besides our programs. The error says what
// is missing on this machine.
func needs(cache string) (kernel vm.LinuxKernel, busybox string, err error) {
	if runtime.GOARCH != "amd64" {
		return kernel, "", errors.New("the guests are amd64, and their programs run on the host too")
	}
	if _, err = exec.LookPath(vm.Program); err != nil {
		return kernel, "", err
	}
	if kernel, err = vm.FindKernel(cache); err != nil {
		return kernel, "", err
	}
	busybox, err = findBusybox(cache)
	return kernel, busybox, err
}

// findBusybox returns a busybox that needs no library: the one in the folder
// cache of "make vm-needs", or the host's.
func findBusybox(cache string) (string, error) {
	var tried []string
	for _, name := range []string{filepath.Join(cache, "bin", "busybox"), "/bin/busybox"} {
		err := isStatic(name)
		if err == nil {
			return name, nil
		}
		tried = append(tried, err.Error())
	}
	return "", fmt.Errorf("no static busybox (%s): make vm-needs", strings.Join(tried, "; "))
}

func isStatic(name string) error {
	f, err := elf.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%q wants shared libraries", name)
		}
	}
	return nil
}

// newRoot makes the root that every guest begins with.
func newRoot(busybox string) (*initramfs.Archive, error) {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the applets of %q: %v", busybox, err)
	}
	root := &initramfs.Archive{}
	for _, applet := range strings.Fields(string(applets)) {
		root.Symlink("/bin/"+applet, "busybox")
	}
	root.File("/bin/busybox", 0o755, program)
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run", "/var/log/upstart"} {
		root.Dir(dir, 0o755)
	}
	root.Dir("/tmp", 0o1777)
	root.CharDevice("/dev/console", 0o600, 5, 1)
	root.CharDevice("/dev/null", 0o666, 1, 3)
	root.File("/etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\n"))
	root.File("/etc/group", 0o644, []byte("root:x:0:\n"))
	return root, nil
}

// guest is what scripts ask Linux by.
//
//go:embed guest.txt
var guest string

// buildInit builds the programs under test into dir.
func buildInit(module, dir string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/", "./cmd/init", "./cmd/initctl", "./cmd/onset-sources")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build init: %v\n%s", err, out)
	}
	return nil
}

// addInit makes our init, built in dir, process 1 of the root.
func addInit(root *initramfs.Archive, dir string) error {
	for _, name := range []string{"init", "initctl", "onset-sources"} {
		program, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		root.File("/sbin/"+name, 0o755, program)
	}
	for _, name := range script.Clients {
		root.Symlink("/sbin/"+name, "initctl")
	}
	for _, text := range []string{script.Guest, guest} {
		s, err := script.Parse(text)
		if err != nil {
			return err
		}
		add(s, root)
	}
	return nil
}

// backends are what devices that scripts plug in are connected to.
var backends = []string{
	"-blockdev", "driver=null-co,node-name=disk,size=16777216,read-zeroes=on",
	"-chardev", "null,id=null",
}

// machine writes the initramfs of the script and returns the options that
// boot it.
func machine(s *script.Script, image, busybox, programs string, kernel vm.LinuxKernel) ([]vm.Option, error) {
	root, err := newRoot(busybox)
	if err == nil && !s.BringsInit() {
		err = addInit(root, programs)
	}
	if err != nil {
		return nil, err
	}
	if err := addModules(root, kernel, s.Modules); err != nil {
		return nil, err
	}
	for _, name := range s.Borrows {
		if err := borrow(root, name); err != nil {
			return nil, err
		}
	}
	add(s, root)
	options := []vm.Option{vm.Kernel(kernel.Path), vm.Initrd(image), vm.Append("quiet"), vm.Append(s.Append...)}
	if !s.BringsInit() {
		options = append(options, vm.Append("rdinit=/sbin/init"))
	}
	if s.Memory != 0 {
		options = append(options, vm.Memory(s.Memory))
	}
	if s.Plugs {
		options = append(options, vm.Arguments(backends...))
	}
	return options, writeImage(root, image)
}

// add puts the files of the script into the root of its machine.
func add(s *script.Script, root *initramfs.Archive) {
	for _, f := range s.Files {
		if f.Link != "" {
			root.Symlink(f.Name, f.Link)
		} else {
			root.File(f.Name, f.Mode, f.Data)
		}
	}
}

// writeImage stores the archive as a file that QEMU can load.
func writeImage(root *initramfs.Archive, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := root.Encode(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
