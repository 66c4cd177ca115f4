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

var longOption = regexp.MustCompile(`--[a-z][a-z-]*`)

// TestManualsAreComplete wants what the programs say of themselves in their
// pages.
func TestManualsAreComplete(t *testing.T) {
	of := func(page, name string, args ...string) {
		text := manual(t, page)
		out, _ := exec.Command(program(name), args...).Output()
		options := longOption.FindAllString(string(out), -1)
		if len(options) == 0 {
			t.Errorf("%s %v names no option", name, args)
		}
		for _, option := range options {
			if !strings.Contains(text, option) {
				t.Errorf("%s: %s of %s is missing", page, option, name)
			}
		}
	}
	of("init.8", "init", "--help")
	page := manual(t, "initctl.8")
	for _, name := range commandNames(t) {
		of("initctl.8", "initctl", name, "--help")
		if !regexp.MustCompile(`(?m)^\.(B|BI|BR) "?` + name + `\b`).MatchString(page) {
			t.Errorf("initctl.8: no entry of %s", name)
		}
	}
}
