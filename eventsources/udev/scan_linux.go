package udev

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// system is where the kernel and udevd show what they know.
type system struct {
	sys   string   // /sys
	udev  string   // /run/udev
	tools []string // where udevadm may be
	mark  string   // a file that is made at the first start since the boot
	room  int      // for uevents that were not read, in bytes of the kernel's memory (UPSTART §9.1)
}

// here is the system that the source looks at.
var here = system{sys: "/sys", udev: "/run/udev", tools: []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin"}, mark: "/run/onset/coldplug", room: 128 << 20}

// found is a device that exists.
type found struct {
	uevent
	// handled says that udevd knows it, or has nothing to say of such.
	handled bool
}

// scan returns the devices of the wanted subsystems, parents first.
func (s system) scan(w wants) (all []found) {
	for _, dir := range s.folders(w) {
		entries, err := os.ReadDir(dir.name)
		if err != nil {
			continue // no such subsystem, or not any more
		}
		for _, e := range entries {
			if f, ok := s.read(filepath.Join(dir.name, e.Name()), dir.subsystem); ok {
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.path, b.path) })
	return slices.CompactFunc(all, func(a, b found) bool { return a.path == b.path })
}

type folder struct{ name, subsystem string }

// folders returns those with links to devices.
func (s system) folders(w wants) (list []folder) {
	for _, kind := range []struct{ dir, below string }{{"class", ""}, {"bus", "devices"}} {
		dir := filepath.Join(s.sys, kind.dir)
		if !w.all {
			for subsystem := range w.by {
				if filepath.IsLocal(subsystem) && !strings.Contains(subsystem, "/") {
					list = append(list, folder{filepath.Join(dir, subsystem, kind.below), subsystem})
				}
			}
			continue
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			list = append(list, folder{filepath.Join(dir, e.Name(), kind.below), e.Name()})
		}
	}
	return list
}

// read looks at the device that a link leads to.
func (s system) read(link, subsystem string) (f found, ok bool) {
	f.subsystem = subsystem
	target, err := os.Readlink(link)
	switch {
	case err != nil:
		target = link // a folder, of an old kernel
	case !filepath.IsAbs(target):
		target = filepath.Join(filepath.Dir(link), target)
	}
	f.path, ok = strings.CutPrefix(target, s.sys)
	if !ok {
		return f, false
	}
	text, err := os.ReadFile(target + "/uevent")
	if err != nil {
		return f, false // gone, or no device
	}
	f.set(append(strings.Split(string(text), "\n"), "DEVPATH="+f.path, "SUBSYSTEM="+subsystem))
	f.handled = s.complete(&f.uevent) || f.get("MAJOR") == "" && f.get("IFINDEX") == ""
	return f, true
}

// complete adds what udevd has found out about a device, and reports whether
// udevd knows it.
func (s system) complete(u *uevent) bool {
	text, err := os.ReadFile(filepath.Join(s.udev, "data", u.id()))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	u.set(append(slices.Clone(u.vars), recorded(string(text))...))
	return true
}

// id is how udevd calls the device.
func (u *uevent) id() string {
	if index := u.get("IFINDEX"); index != "" && u.subsystem == "net" {
		return "n" + index
	}
	if major := u.get("MAJOR"); major != "" {
		kind := "c"
		if u.subsystem == "block" {
			kind = "b"
		}
		return kind + major + ":" + u.get("MINOR")
	}
	return "+" + u.subsystem + ":" + path.Base(u.path)
}

// recorded returns the variables in a file of udevd's database.
func recorded(text string) (vars []string) {
	var links []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if v, ok := strings.CutPrefix(line, "E:"); ok {
			vars = append(vars, v)
		} else if link, ok := strings.CutPrefix(line, "S:"); ok {
			links = append(links, "/dev/"+link)
		}
	}
	if len(links) > 0 {
		vars = append(vars, "DEVLINKS="+strings.Join(links, " "))
	}
	return vars
}

// last returns the number of the last uevent; 0 where it cannot be known.
func (s system) last() uint64 {
	text, _ := os.ReadFile(filepath.Join(s.sys, "kernel", "uevent_seqnum"))
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// hasUdevd reports whether a udevd is installed, which tells of what there was
// before it by udevadm.
func (s system) hasUdevd() bool {
	return slices.ContainsFunc(s.tools, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "udevadm"))
		return err == nil
	})
}

// first reports whether it is asked for the first time since the boot.
func (s system) first() (bool, error) {
	if err := os.MkdirAll(filepath.Dir(s.mark), 0o755); err != nil {
		return false, err
	}
	f, err := os.OpenFile(s.mark, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, f.Close()
}

// trigger has the kernel say again that a device was added.
func (s system) trigger(f found) error {
	return os.WriteFile(s.sys+f.path+"/uevent", []byte("add"), 0)
}
