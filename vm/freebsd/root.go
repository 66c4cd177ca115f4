package freebsd

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"onset/vm/script"
)

// tools are the names of the guest program in /bin.
const tools = `[ background batch boot cat chmod cmp cp cut date dd dmesg echo env false grep head hostname hunt id ifconfig kill ln ls manager mkdir
	mkfifo mount mv overwrite printf program ps pwd readlink rm rmdir sed seq sh sleep sort stty sysctl tail tee test touch tr true umount uname wc zombies`

// underTest are the packages of the programs in /sbin.
var underTest = []string{"./cmd/init", "./cmd/initctl", "./cmd/onset-sources"}

// base has the files of every guest.
//
//go:embed base.txt
var base string

// build makes the programs of one module for the guest in the folder dir.
func build(module, dir string, packages ...string) error {
	_, err := goTool(module, append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", dir + "/"}, packages...)...)
	return err
}

// goTool runs the go command for the guest and returns its output.
func goTool(dir string, args ...string) (string, error) {
	a, err := guestArchitecture()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=freebsd", "GOARCH="+a.goarch)
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("for FreeBSD: go %v: %v\n%s", args, err, stderr.String())
	}
	return out.String(), nil
}

// buildAll makes all programs of a guest, from the tree at module.
func buildAll(module, dir string) error {
	if err := build(filepath.Join(module, "vm", "freebsd", "guest"), dir, "."); err != nil {
		return err
	}
	return build(module, dir, underTest...)
}

// root fills a folder with what the guest of a script has, and returns the
// file that is process 1.
func root(dir, programs string, s *script.Script) (init string, err error) {
	for _, empty := range []string{"dev", "mnt", "proc", "root", "tmp", "var/run", "var/log/upstart"} {
		if err := os.MkdirAll(filepath.Join(dir, empty), 0o755); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), os.ModeSticky|0o777); err != nil {
		return "", err
	}
	links := map[string]string{}
	for name := range strings.FieldsSeq(tools) {
		links["/bin/"+name] = "guest"
	}
	for _, name := range script.Clients {
		links["/sbin/"+name] = "initctl"
	}
	files := []script.File{}
	for name, target := range links {
		files = append(files, script.File{Name: name, Link: target})
	}
	ours := map[string]string{"/bin/guest": "guest"}
	texts := []string{base}
	if !s.BringsInit() {
		ours["/sbin/init"], ours["/sbin/initctl"], ours["/sbin/onset-sources"] = "init", "initctl", "onset-sources"
		texts = append(texts, script.Guest)
	}
	for name, program := range ours {
		data, err := os.ReadFile(filepath.Join(programs, program))
		if err != nil {
			return "", err
		}
		files = append(files, script.File{Name: name, Mode: 0o755, Data: data})
	}
	for _, text := range texts {
		common, err := script.Parse(text)
		if err != nil {
			return "", err
		}
		files = append(files, common.Files...)
	}
	for _, f := range append(files, s.Files...) {
		if err := put(dir, f); err != nil {
			return "", err
		}
	}
	if s.BringsInit() {
		return filepath.Join(dir, "init"), nil
	}
	return filepath.Join(dir, "sbin", "init"), nil
}

// put adds a file, or replaces it.
func put(dir string, f script.File) error {
	name := filepath.Join(dir, f.Name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	if f.Link != "" {
		return os.Symlink(f.Link, name)
	}
	if err := os.WriteFile(name, f.Data, 0o600); err != nil {
		return err
	}
	return os.Chmod(name, os.FileMode(f.Mode&0o777))
}
