package vm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// KernelVariable names the kernel image to boot, before all others.
const KernelVariable = "ONSET_LINUX_KERNEL"

// LinuxKernel is an image that QEMU can boot.
type LinuxKernel struct {
	Path    string
	Version string // such as 6.1.0-56-cloud-amd64
	Modules string // the folder of its modules; empty where there is none
}

// FindKernel looks for a kernel: the one that ONSET_LINUX_KERNEL names, one of
// the host, the one that "make vm-needs" unpacked into the folder cache.
// The error says what was tried.
func FindKernel(cache string) (LinuxKernel, error) {
	if name := os.Getenv(KernelVariable); name != "" {
		return readKernel(name, "/", cache) // asked for, so nothing else will do
	}
	return findKernel("/", cache)
}

func findKernel(roots ...string) (LinuxKernel, error) {
	var tried []string
	for _, root := range roots {
		dir := filepath.Join(root, "boot")
		names, _ := filepath.Glob(filepath.Join(dir, "vmlinuz-*"))
		slices.SortFunc(names, func(a, b string) int { return compareVersions(b, a) }) // newest first
		for _, name := range names {
			kernel, err := readKernel(name, roots...)
			if err == nil {
				return kernel, nil
			}
			tried = append(tried, err.Error())
		}
		if len(names) == 0 {
			tried = append(tried, "none in "+dir)
		}
	}
	return LinuxKernel{}, fmt.Errorf("no kernel to boot (%s): make vm-needs, or set %s", strings.Join(tried, "; "), KernelVariable)
}

// compareVersions orders 6.9 before 6.10: runs of digits count as numbers.
func compareVersions(a, b string) int {
	digits := func(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
	for a != "" && b != "" {
		m, n := digits(a), digits(b)
		if m != n && m > 0 && n > 0 {
			return m - n
		}
		m, n = max(m, 1), max(n, 1)
		if c := strings.Compare(a[:m], b[:n]); c != 0 {
			return c
		}
		a, b = a[m:], b[n:]
	}
	return len(a) - len(b)
}

// Offsets in the header of an x86 image (Documentation/arch/x86/boot.rst).
const (
	headerMagic   = 0x202 // "HdrS"
	headerVersion = 0x20e // where the version is, less 0x200
	headerSize    = 0x8000
)

// readKernel takes an image for what its header says, and looks for its modules
// below the roots.
func readKernel(name string, roots ...string) (LinuxKernel, error) {
	f, err := os.Open(name)
	if err != nil {
		return LinuxKernel{}, fmt.Errorf("cannot read kernel: %v", err)
	}
	defer f.Close()
	header := make([]byte, headerSize)
	n, _ := f.Read(header)
	header = header[:n]
	if n < headerVersion+2 || string(header[headerMagic:headerMagic+4]) != "HdrS" {
		return LinuxKernel{}, fmt.Errorf("%q is no x86 kernel image", name)
	}
	at := int(binary.LittleEndian.Uint16(header[headerVersion:])) + 0x200
	if at >= n {
		return LinuxKernel{}, fmt.Errorf("%q does not say its version", name)
	}
	text, _, _ := bytes.Cut(header[at:], []byte{0})
	version, _, _ := strings.Cut(string(text), " ")
	kernel := LinuxKernel{Path: name, Version: version}
	for _, root := range roots {
		dir := filepath.Join(root, "lib", "modules", version)
		if _, err := os.Stat(filepath.Join(dir, "modules.builtin")); err == nil && kernel.Modules == "" {
			kernel.Modules = dir
		}
	}
	return kernel, nil
}
