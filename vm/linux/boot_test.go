package linux

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"onset/vm"
	"onset/vm/script"
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
	script.Each(t, func(t *testing.T, s *script.Script) {
		t.Parallel()
		if len(s.Modules) > 0 && kernel.Modules == "" {
			t.Skipf("SKIPPED: there are no modules of kernel %s in %s", kernel.Version, cache)
		}
		for _, name := range s.Borrows {
			if _, err := os.Stat(name); err != nil {
				t.Skipf("SKIPPED: this host has nothing to lend: %v", err)
			}
		}
		options, err := machine(s, filepath.Join(t.TempDir(), "initrd"), busybox, programs, kernel)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(vm.StartT(t, options...)); err != nil {
			t.Fatal(err)
		}
	}, filepath.Join("..", "testdata"), "testdata")
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
	if err := typeIn(strings.NewReader("stop network\necho web is now $(status web)\n"+
		"until wget -q -O - http://127.0.0.1:7878 2>/dev/null; do sleep 0.1; done\n"), &out, options); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	text := strings.ReplaceAll(out.String(), "\r", "")
	for _, want := range []string{`(?m)^web start/running, process \d+$`, `(?m)^[\d:.]+  web +start +because `, `(?m)^web is now web stop/waiting$`,
		`(?m)^hello, port \d+$`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no match for %q on the console:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Unknown job") {
		t.Errorf("the history is asked of what is no job:\n%s", text)
	}
}
