package freebsd

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"onset/vm/script"
)

const packagesTime = 90 * time.Minute

// packagesJob runs the tests of all packages as a job, one after the other in
// their folders, as "go test" would.
const packagesJob = `start on startup
console output
task
script
	sysctl kern.coredump=0 >/dev/null # one may fill the root
	ifconfig lo0 inet 127.0.0.1
	export HOME=/root TMPDIR=/tmp ONSET_TEST_PROGRAMS=/sbin
	for file in /tests/*.dir; do
		cd $(cat $file)
		code=0
		${file%.dir}.test -test.short -test.timeout 30m || code=$?
		echo "== $(cat $file) ended with $code"
	done
end script
post-stop exec poweroff -f
`

var packageEnded = regexp.MustCompile(`(?m)^== /src/(\S+) ended with (\d+)$`)

// TestPackages runs the tests of all packages that have some for FreeBSD.
// ONSET_FREEBSD_PACKAGES names others, as "go list" does.
func TestPackages(t *testing.T) {
	machineNeeds(t)
	if os.Getenv(BootVariable) == "" {
		t.Skipf("SKIPPED: %s: the root of its machines is too small", ImageVariable)
	}
	module, programs, dir := filepath.Join("..", ".."), t.TempDir(), t.TempDir()
	for _, err := range []error{
		build("guest", programs, "."), build(module, programs, underTest...), copyData(module, filepath.Join(dir, "src")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	packages := buildTests(t, module, filepath.Join(dir, "tests"))
	s := &script.Script{}
	init, err := root(dir, programs, s)
	if err == nil {
		err = put(dir, script.File{Name: "/etc/init/tests.conf", Mode: 0o644, Data: []byte(packagesJob)})
	}
	if err == nil {
		err = os.Remove(filepath.Join(dir, "etc", "init", "shell.conf"))
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := bootCommand(context.Background(), init, dir, packagesTime, live())
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Ends(m, script.Off); err != nil {
		t.Error(err)
	}
	results := map[string]string{}
	for _, hit := range packageEnded.FindAllStringSubmatch(m.console.String(), -1) {
		results[hit[1]] = hit[2]
	}
	for _, p := range packages {
		t.Run(p, func(t *testing.T) {
			if results[p] != "0" {
				t.Errorf("ended with %q", results[p])
			}
		})
	}
	if t.Failed() && !testing.Verbose() {
		t.Logf("console:\n%s", m.console.String())
	}
}

// live is where the console is shown while the machine runs.
func live() io.Writer {
	if testing.Verbose() {
		return os.Stderr
	}
	return io.Discard
}

// buildTests compiles the tests into a folder and returns the packages, named
// by their folders in the module.
func buildTests(t *testing.T, module, dir string) []string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	patterns := strings.Fields(os.Getenv("ONSET_FREEBSD_PACKAGES"))
	if len(patterns) == 0 {
		patterns = []string{"./core/...", "./platform/...", "./eventsources/...", "./cmd/..."}
	}
	list, err := goTool(module, append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}"}, patterns...)...)
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for name := range strings.FieldsSeq(list) {
		folder := strings.TrimPrefix(name, "onset/")
		file := filepath.Join(dir, strings.ReplaceAll(folder, "/", "-"))
		if _, err := goTool(module, "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", file+".test", name); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".dir", []byte("/src/"+folder+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, folder)
	}
	if len(packages) == 0 {
		t.Fatalf("no tests in %q", patterns)
	}
	return packages
}

// copyData copies what tests may read: all of the tree but what was built.
func copyData(module, to string) error {
	tree := os.DirFS(module)
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin"}, name):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !entry.Type().IsRegular() || path.Ext(name) == ".test":
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return fmt.Errorf("cannot copy: %v", err)
		}
		return os.WriteFile(filepath.Join(to, name), data, info.Mode().Perm())
	})
}
