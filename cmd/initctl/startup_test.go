package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// build compiles the program as it is installed.
func build(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "initctl")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("cannot build the program: %v\n%s", err, out)
	}
	return file
}

// ask runs the program once.
func (f *fake) ask(program string) {
	cmd := exec.Command(program, "version")
	cmd.Env = []string{"UPSTART_SESSION=" + f.address}
	out, err := cmd.Output()
	if err != nil || string(out) != "init (upstart 1.13.2)\n" {
		f.t.Fatalf("%q, %v", out, err)
	}
}

func BenchmarkVersion(b *testing.B) {
	program, f := build(b), startFake(b, world)
	for b.Loop() {
		f.ask(program)
		f.log()
	}
}

// BenchmarkNothing starts a program that does nothing.
func BenchmarkNothing(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
