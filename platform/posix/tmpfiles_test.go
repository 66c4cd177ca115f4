package posix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTmpfileErrorsNameTheLine(t *testing.T) {
	for line, want := range map[string]string{
		"q /x":                          `unknown type "q"`,
		"d relative":                    "a type and an absolute path expected",
		"d":                             "a type and an absolute path expected",
		"dx /x":                         `unknown type "dx"`,
		"d /x 99":                       `illegal mode "99"`,
		"d /x 0755 nobody-of-that-name": `unknown name "nobody-of-that-name"`,
		"F /nowhere/file":               "no such file",
	} {
		name := filepath.Join(t.TempDir(), "x.conf")
		os.WriteFile(name, []byte("# comment\n\n"+line+"\n"), 0o600)
		err := applyTmpfiles(name)
		if err == nil || !strings.HasPrefix(err.Error(), name+":3: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}

func TestTmpfileKinds(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	os.MkdirAll(path("full/sub"), 0o755)
	os.WriteFile(path("grows"), []byte("a"), 0o644)
	os.WriteFile(path("link"), nil, 0o644)
	for _, line := range []string{
		"D " + path("full"), "f " + path("new") + ` 0600 - - - a\n b`, "w+ " + path("grows") + " - - - - b",
		"L+ " + path("link") + " - - - - new", "f- /nowhere/file", "d! " + path("a/b") + " 1777",
	} {
		if err := applyTmpfile(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if e, _ := os.ReadDir(path("full")); len(e) != 0 {
		t.Error("D left something")
	}
	for name, want := range map[string]string{"new": "a\n b", "grows": "ab", "link": "a\n b"} {
		if got, _ := os.ReadFile(path(name)); string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if st, err := os.Stat(path("a/b")); err != nil || st.Mode()&0o777 != 0o777 || st.Mode()&os.ModeSticky == 0 {
		t.Errorf("d made %v, %v", st, err)
	}
}
