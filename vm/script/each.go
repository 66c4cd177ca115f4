package script

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each runs a test for each script in the folders, named after its file.
func Each(t *testing.T, test func(t *testing.T, s *Script), folders ...string) {
	t.Helper()
	for _, dir := range folders {
		names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no scripts in %q: %v", dir, err)
		}
		for _, name := range names {
			t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				s, err := Parse(string(text))
				if err != nil {
					t.Fatalf("%s:%v", name, err)
				}
				t.Log(name)
				test(t, s)
			})
		}
	}
}
