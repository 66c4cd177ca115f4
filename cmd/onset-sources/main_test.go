package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onset/platform/address"
)

func TestCommandLines(t *testing.T) {
	for _, c := range []struct {
		args    []string
		session string
		want    string // address, and the sources named
		err     string
	}{
		{nil, "", address.System, ""},
		{[]string{"devctl", "time"}, "", address.System + " devctl time", ""},
		{nil, "unix:path=/s", "unix:path=/s", ""},
		{[]string{"--user"}, "unix:path=/s", "unix:path=/s", ""},
		{[]string{"--user"}, "", "", "UPSTART_SESSION is not set"},
		{[]string{"--address=unix:path=/a", "devctl"}, "unix:path=/s", "unix:path=/a devctl", ""},
		{[]string{"--what"}, "", "", "not defined: -what"},
	} {
		got, err := parse(c.args, c.session)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", c.args, err, c.err)
			}
			continue
		}
		if text := strings.Join(append([]string{got.address}, got.named...), " "); err != nil || text != c.want {
			t.Errorf("%q: %q, %v; want %q", c.args, text, err, c.want)
		}
	}
}

func TestUnknownSource(t *testing.T) {
	if err := run([]string{"--address=unix:path=/nonexistent", "nonesuch"}, nil); err == nil || !strings.Contains(err.Error(), `no source "nonesuch"`) {
		t.Errorf("%v", err)
	}
}

func TestManualIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "man", "onset-sources.8"))
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "SOURCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	var list bytes.Buffer
	if err := run([]string{"--list"}, &list); err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(list.String())
	for _, word := range slices.Concat(names, regexp.MustCompile(`--[a-z]+`).FindAllString(usage, -1)) {
		if !strings.Contains(strings.ReplaceAll(string(page), `\-`, "-"), word) {
			t.Errorf("onset-sources.8 does not tell of %s", word)
		}
	}
	for _, name := range names {
		if !strings.Contains(string(docs), "## "+name+"\n") {
			t.Errorf("docs/SOURCES.md does not tell of %s", name)
		}
	}
}
