package linux

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"

	"onset/vm/initramfs"
)

// libraryFolders are where hosts have libraries of their own kind, as their
// dynamic loader knows without being told.
var libraryFolders = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// borrow puts a file of the host into the root, and what it needs if it is a
// program.
func borrow(root *initramfs.Archive, name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	root.File(name, uint32(info.Mode().Perm()), data)
	f, err := elf.Open(name)
	if err != nil {
		return nil // no program
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			loader := make([]byte, p.Filesz-1) // without its NUL
			if _, err := p.ReadAt(loader, 0); err != nil {
				return err
			}
			if err := borrow(root, string(loader)); err != nil {
				return err
			}
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, library := range needed {
		if err := borrowLibrary(root, library); err != nil {
			return fmt.Errorf("%s: %v", name, err)
		}
	}
	return nil
}

func borrowLibrary(root *initramfs.Archive, library string) error {
	for _, dir := range libraryFolders {
		name := filepath.Join(dir, library)
		if _, err := os.Stat(name); err == nil {
			return borrow(root, name)
		}
	}
	return fmt.Errorf("no library %s", library)
}
