package linux

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"onset/vm/initramfs"
)

func TestParse(t *testing.T) {
	s, err := parse("# a test\n\nmemory 512\nappend quiet x=y\nexpect 30s ^a b$\nsend  echo hi\nends guest-reset\n" +
		"-- /etc/a --\none\n\n# two\n-- /bin/b 0755 --\n-- /bin/c -> b --\n-- not a marker --\n")
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, step := range s.steps {
		steps = append(steps, fmt.Sprintf("%d:%s", step.line, step.text))
	}
	if got := strings.Join(steps, "|"); got != "5:expect 30s ^a b$|6:send  echo hi|7:ends guest-reset" {
		t.Errorf("steps: %s", got)
	}
	if len(s.options) != 2 {
		t.Errorf("%d options, want 2", len(s.options))
	}
	want := "[{/etc/a  420 one\n\n# two\n} {/bin/b  493 } {/bin/c b 420 -- not a marker --\n}]"
	got := "["
	for i, f := range s.files {
		if i > 0 {
			got += " "
		}
		got += fmt.Sprintf("{%s %s %d %s}", f.name, f.link, f.mode, f.data)
	}
	if got += "]"; got != want {
		t.Errorf("files: %q\nwant %q", got, want)
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"send x\nfly", `2: unknown command "fly"`},
		{"memory much", "1: "},
		{"\nexpect 3s ", "2: expect without a pattern"},
		{"expect (", "1: error parsing regexp"},
		{"reject (", "1: error parsing regexp"},
	} {
		if _, err := parse(c.text); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestFilesOfTheScriptReachTheRoot(t *testing.T) {
	s, err := parse("-- /init 0755 --\n#!/bin/sh\n-- /sbin/init -> ../init --\n")
	if err != nil {
		t.Fatal(err)
	}
	root, want := &initramfs.Archive{}, &initramfs.Archive{}
	s.add(root)
	want.File("/init", 0o755, []byte("#!/bin/sh\n"))
	want.Symlink("/sbin/init", "../init")
	var a, b bytes.Buffer
	if root.Encode(&a) != nil || want.Encode(&b) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("got %q, want %q", a.Bytes(), b.Bytes())
	}
}
