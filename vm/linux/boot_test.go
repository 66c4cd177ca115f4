package linux

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"onset/vm"
)

// cache is where "make vm-kernel" puts what a guest needs.
var cache = filepath.Join("..", "..", "bin", "vm")

// needs returns kernel and busybox, or says on the screen, verbose or not, why
// nothing is booted.
func needs(t *testing.T) (vm.LinuxKernel, string) {
	t.Helper()
	kernel, kernelErr := vm.FindKernel(cache)
	busybox, busyboxErr := findBusybox(cache)
	_, qemuErr := exec.LookPath(vm.Program)
	for _, err := range []error{qemuErr, kernelErr, busyboxErr} {
		if err != nil {
			skip(t, err.Error())
		}
	}
	if runtime.GOARCH != "amd64" {
		skip(t, "the guests are amd64, and their programs run on the host too")
	}
	return kernel, busybox
}

func skip(t *testing.T, reason string) {
	t.Helper()
	os.Stderr.WriteString("vm/linux: SKIPPED: no machine is booted: " + reason + "\n")
	t.Skip(reason)
}

func TestBoot(t *testing.T) {
	kernel, busybox := needs(t)
	t.Logf("kernel %s (%s), accelerator %s", kernel.Version, kernel.Path, vm.BestAccelerator().Name)
	programs := t.TempDir()
	if err := buildInit(filepath.Join("..", ".."), programs); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			boot(t, name, kernel, busybox, programs)
		})
	}
}

func boot(t *testing.T, name string, kernel vm.LinuxKernel, busybox, programs string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s:%v", name, err)
	}
	image := filepath.Join(t.TempDir(), "initrd")
	if err := s.build(image, busybox, programs); err != nil {
		t.Fatal(err)
	}
	options := []vm.Option{vm.Kernel(kernel.Path), vm.Initrd(image)}
	if !s.bringsInit() {
		options = append(options, vm.Append("rdinit=/sbin/init"))
	}
	m := vm.StartT(t, append(s.options, options...)...)
	if err := s.run(m); err != nil {
		t.Fatalf("%s:%v", name, err)
	}
}

// build writes the initramfs of the script's machine.
func (s *script) build(image, busybox, programs string) error {
	root, err := newRoot(busybox)
	if err == nil && !s.bringsInit() {
		err = addInit(root, programs)
	}
	if err != nil {
		return err
	}
	s.add(root)
	return writeImage(root, image)
}
