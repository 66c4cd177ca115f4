package linux

import (
	"bytes"
	"testing"

	"onset/vm/initramfs"
	"onset/vm/script"
)

func TestFilesOfTheScriptReachTheRoot(t *testing.T) {
	s, err := script.Parse("-- /init 0755 --\n#!/bin/sh\n-- /sbin/init -> ../init --\n")
	if err != nil {
		t.Fatal(err)
	}
	root, want := &initramfs.Archive{}, &initramfs.Archive{}
	add(s, root)
	want.File("/init", 0o755, []byte("#!/bin/sh\n"))
	want.Symlink("/sbin/init", "../init")
	var a, b bytes.Buffer
	if root.Encode(&a) != nil || want.Encode(&b) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("got %q, want %q", a.Bytes(), b.Bytes())
	}
}
