package initramfs

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func encode(t *testing.T, a *Archive) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := a.Encode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sample() *Archive {
	a := &Archive{}
	a.Symlink("/bin/sh", "busybox")
	a.File("bin/busybox", 0o755, []byte("#!\n"))
	a.CharDevice("/dev/console", 0o600, 5, 1)
	a.BlockDevice("/dev/vda", 0o660, 254, 0)
	a.FIFO("/run/pipe", 0o600)
	a.Dir("/tmp", 0o1777)
	a.File("/etc/empty", 0o644, nil)
	return a
}

func TestFirstEntryByteForByte(t *testing.T) {
	a := &Archive{}
	a.File("/ab", 0o644, []byte("hello"))
	want := "070701" + "00000001" + "000081a4" + "00000000" + "00000000" + "00000001" + "00000000" +
		"00000005" + "00000000" + "00000000" + "00000000" + "00000000" + "00000003" + "00000000" +
		"ab\x00\x00\x00\x00" + "hello\x00\x00\x00" + "070701" + "00000000"
	if got := encode(t, a); !bytes.HasPrefix(got, []byte(want)) {
		t.Errorf("got %q", got)
	}
}

func TestFoldersComeBeforeTheirEntries(t *testing.T) {
	text := string(encode(t, sample()))
	last := -1
	for _, name := range []string{"bin", "bin/busybox", "bin/sh", "dev", "dev/console", "etc", "run", "tmp", "TRAILER!!!"} {
		at := strings.Index(text, name+"\x00")
		if at <= last {
			t.Errorf("%s at %d, want it after %d", name, at, last)
		}
		last = at
	}
	if len(text)%4 != 0 {
		t.Errorf("%d bytes are not padded", len(text))
	}
}

func TestSameEntriesSameBytes(t *testing.T) {
	backwards := &Archive{}
	backwards.File("/etc/empty", 0o644, nil)
	backwards.Dir("/tmp/", 0o1777)
	backwards.FIFO("run/pipe", 0o600)
	backwards.BlockDevice("dev/vda", 0o660, 254, 0)
	backwards.CharDevice("dev/console", 0o600, 5, 1)
	backwards.File("bin/../bin/busybox", 0o755, []byte("#!\n"))
	backwards.Symlink("bin/sh", "something else")
	backwards.Symlink("bin/sh", "busybox")
	backwards.Dir("/", 0o700)
	if !bytes.Equal(encode(t, sample()), encode(t, backwards)) {
		t.Error("the order of additions shows")
	}
}

func TestCannotPutAFileBelowAFile(t *testing.T) {
	a := &Archive{}
	a.File("/etc", 0o644, nil)
	a.File("/etc/passwd", 0o644, nil)
	if err := a.Encode(&bytes.Buffer{}); err == nil {
		t.Error("no error")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestWriteErrorsAreReported(t *testing.T) {
	a := &Archive{}
	a.File("/big", 0o644, make([]byte, 1<<20))
	for _, a := range []*Archive{a, sample()} {
		if err := a.Encode(full{}); err == nil {
			t.Error("no error")
		}
	}
}

func TestCpioReadsIt(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("SKIPPED: cpio is not installed")
	}
	cmd := exec.Command(cpio, "-tv", "--numeric-uid-gid", "--quiet")
	cmd.Stdin = bytes.NewReader(encode(t, sample()))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"-rwxr-xr-x 1 0 0 3 ", " bin/busybox\n", " bin/sh -> busybox\n", "crw------- 1 0 0 5, 1 ",
		"brw-rw---- 1 0 0 254, 0 ", "prw------- ", "drwxrwxrwt 2 0 0 0 ", " etc/empty\n",
	} {
		if !strings.Contains(strings.Join(strings.FieldsFunc(string(out), func(r rune) bool { return r == ' ' }), " "), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
