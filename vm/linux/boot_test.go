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
	names, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			boot(t, name, kernel, busybox)
		})
	}
}

func boot(t *testing.T, name string, kernel vm.LinuxKernel, busybox string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s:%v", name, err)
	}
	root, err := newRoot(busybox)
	if err != nil {
		t.Fatal(err)
	}
	s.add(root)
	image := filepath.Join(t.TempDir(), "initrd")
	if err := writeImage(root, image); err != nil {
		t.Fatal(err)
	}
	m := vm.StartT(t, append(s.options, vm.Kernel(kernel.Path), vm.Initrd(image))...)
	if err := s.run(m); err != nil {
		t.Fatalf("%s:%v", name, err)
	}
}
