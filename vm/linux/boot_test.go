package linux

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"onset/vm"
)

// cache is where "make vm-needs" puts what a guest needs.
var cache = filepath.Join("..", "..", "bin", "vm")

// machineNeeds is needs, or says on the screen, verbose or not, why nothing is
// booted.
func machineNeeds(t *testing.T) (vm.LinuxKernel, string) {
	t.Helper()
	kernel, busybox, err := needs(cache)
	if err != nil {
		os.Stderr.WriteString("vm/linux: SKIPPED: no machine is booted: " + err.Error() + "\n")
		t.Skip(err)
	}
	return kernel, busybox
}

func TestBoot(t *testing.T) {
	kernel, busybox := machineNeeds(t)
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
	m := vm.StartT(t, append(s.options, s.machine(image, kernel)...)...)
	if err := s.run(m); err != nil {
		t.Fatalf("%s:%v", name, err)
	}
}

func TestConsole(t *testing.T) {
	kernel, busybox := machineNeeds(t)
	dir := t.TempDir()
	if err := buildInit(filepath.Join("..", ".."), dir); err != nil {
		t.Fatal(err)
	}
	options, err := consoleMachine(filepath.Join(dir, "initrd"), filepath.Join("..", "..", "examples"), kernel, busybox, dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := typeIn(strings.NewReader("stop network\necho web is now $(status web)\n"), &out, append(options, vm.Append("quiet"))); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	text := strings.ReplaceAll(out.String(), "\r", "")
	for _, want := range []string{`(?m)^web start/running, process \d+$`, `(?m)^[\d:.]+  web +start +because `, `(?m)^web is now web stop/waiting$`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no match for %q on the console:\n%s", want, text)
		}
	}
}
