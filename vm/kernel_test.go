package vm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeKernel writes the header of an image with a version.
func writeKernel(t *testing.T, name, version string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	image := make([]byte, 0x400)
	copy(image[headerMagic:], "HdrS")
	binary.LittleEndian.PutUint16(image[headerVersion:], 0x100)
	copy(image[0x300:], version+" (somebody@somewhere) #1 SMP")
	if err := os.WriteFile(name, image, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNewestReadableKernelOfTheFirstFolder(t *testing.T) {
	host, cache := t.TempDir(), t.TempDir()
	writeKernel(t, filepath.Join(host, "boot", "vmlinuz-6.9.1"), "6.9.1")
	writeKernel(t, filepath.Join(host, "boot", "vmlinuz-6.10.1"), "6.10.1")
	writeKernel(t, filepath.Join(cache, "boot", "vmlinuz-7.0.0"), "7.0.0")
	if err := os.WriteFile(filepath.Join(host, "boot", "vmlinuz-8.0.0"), []byte("\x7fELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := findKernel(host, cache)
	if err != nil || got.Version != "6.10.1" || got.Path != filepath.Join(host, "boot", "vmlinuz-6.10.1") {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = findKernel(t.TempDir(), cache); err != nil || got.Version != "7.0.0" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNoKernelSaysWhatWasTried(t *testing.T) {
	host, cache := t.TempDir(), t.TempDir()
	bad := filepath.Join(host, "boot", "vmlinuz-8.0.0")
	if err := os.Mkdir(filepath.Dir(bad), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, make([]byte, 0x400), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := findKernel(host, cache)
	if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), cache) {
		t.Errorf("got %v", err)
	}
}

func TestKernelOfTheVariableOrNone(t *testing.T) {
	cache := t.TempDir()
	named := filepath.Join(cache, "image")
	writeKernel(t, named, "5.4.0-custom")
	t.Setenv(KernelVariable, named)
	if got, err := FindKernel(cache); err != nil || got.Version != "5.4.0-custom" {
		t.Errorf("got %+v, %v", got, err)
	}
	t.Setenv(KernelVariable, named+".missing")
	if got, err := FindKernel(cache); err == nil {
		t.Errorf("got %+v, want an error", got)
	}
}

func TestVersionsCompareByNumber(t *testing.T) {
	for _, c := range []struct{ less, more string }{
		{"6.9", "6.10"}, {"6.1.0-9", "6.1.0-56"}, {"6.1", "6.1.1"}, {"5.19", "6.1"}, {"", "1"},
	} {
		if compareVersions(c.less, c.more) >= 0 || compareVersions(c.more, c.less) <= 0 {
			t.Errorf("%q is not below %q", c.less, c.more)
		}
	}
	if compareVersions("6.1", "6.1") != 0 {
		t.Error("6.1 differs from itself")
	}
}
