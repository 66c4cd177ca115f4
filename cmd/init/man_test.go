//go:build linux || freebsd

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// manual returns the text of a page without the escapes that split words.
func manual(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "man", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), `\-`, "-")
}

var (
	longOption  = regexp.MustCompile(`--[a-z][a-z-]*`)
	shortOption = regexp.MustCompile(`(?m)^  -[a-zA-Z]\b`)
)

// TestManualsAreComplete wants what the programs say of themselves in their
// pages.
func TestManualsAreComplete(t *testing.T) {
	of := func(page, name string, args ...string) {
		text := manual(t, page)
		if !filepath.IsAbs(name) {
			name = program(name)
		}
		out, _ := exec.Command(name, args...).Output()
		options := append(longOption.FindAllString(string(out), -1), shortOption.FindAllString(string(out), -1)...)
		if len(options) == 0 {
			t.Errorf("%s %v names no option", name, args)
		}
		for _, option := range options {
			if !strings.Contains(text, strings.TrimSpace(option)) {
				t.Errorf("%s: %s of %s is missing", page, option, filepath.Base(name))
			}
		}
	}
	of("init.8", "init", "--help")
	for name, page := range map[string]string{"runlevel": "runlevel.8", "telinit": "telinit.8", "shutdown": "shutdown.8",
		"reboot": "reboot.8", "halt": "reboot.8", "poweroff": "reboot.8", "init-checkconf": "init-checkconf.8"} {
		link := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(program("initctl"), link); err != nil {
			t.Fatal(err)
		}
		of(page, link, "--help")
		for _, section := range []string{page, name + ".8"} {
			if _, err := os.Stat(filepath.Join("..", "..", "man", section)); err != nil {
				t.Error(err)
			}
		}
	}
	page := manual(t, "initctl.8")
	for _, name := range commandNames(t) {
		of("initctl.8", "initctl", name, "--help")
		if !regexp.MustCompile(`(?m)^\.(B|BI|BR) "?` + name + `\b`).MatchString(page) {
			t.Errorf("initctl.8: no entry of %s", name)
		}
	}
}
