package linux

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onset/vm"
	"onset/vm/initramfs"
)

// loadJob loads modules before a shell is at the console.
const loadJob = "start on starting shell\ntask\nscript\n%send script\n"

// addModules puts modules, and those they need, into the root, and a job that
// loads them.
func addModules(root *initramfs.Archive, kernel vm.LinuxKernel, names []string) error {
	if len(names) == 0 {
		return nil
	}
	all, err := findModules(kernel.Modules)
	if err != nil {
		return err
	}
	var order []string
	for _, name := range names {
		if order, err = all.order(order, name); err != nil {
			return fmt.Errorf("kernel %s: %v", kernel.Version, err)
		}
	}
	load := ""
	for _, m := range order {
		data, err := os.ReadFile(all[m])
		if err != nil {
			return err
		}
		root.File("/lib/modules/"+m+".ko", 0o644, data)
		load += "\t[ -d /sys/module/" + m + " ] || insmod /lib/modules/" + m + ".ko\n"
	}
	root.File("/etc/init/modules.conf", 0o644, fmt.Appendf(nil, loadJob, load))
	return nil
}

// moduleFiles are the files of modules by name; a module that is part of the
// kernel has none.
type moduleFiles map[string]string

func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".ko"), "-", "_")
}

func findModules(dir string) (moduleFiles, error) {
	all := moduleFiles{}
	builtin, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for file := range strings.FieldsSeq(string(builtin)) {
		all[moduleName(file)] = ""
	}
	return all, filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if filepath.Ext(file) == ".ko" {
			all[moduleName(file)] = file
		}
		return err
	})
}

// order adds a module to a list, after those it needs that are not part of the
// kernel.
func (all moduleFiles) order(list []string, name string) ([]string, error) {
	file, ok := all[moduleName(name)]
	if !ok {
		return nil, fmt.Errorf("there is no module %q", name)
	}
	if file == "" || slices.Contains(list, moduleName(name)) {
		return list, nil
	}
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%q says nothing of itself", file)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		needs, _ := strings.CutPrefix(field, "depends=")
		if needs == field || needs == "" {
			continue
		}
		for need := range strings.SplitSeq(needs, ",") {
			if list, err = all.order(list, need); err != nil {
				return nil, err
			}
		}
	}
	return append(list, moduleName(name)), nil
}
