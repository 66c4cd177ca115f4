package sourcetest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var example = regexp.MustCompile(`(?m)^    # /etc/init/(\S+)\n((?:    .*\n)+)`)

// Examples returns the job files in the section of a source in docs/SOURCES.md,
// by name. The section names each in a comment before its text.
func Examples(t *testing.T, source string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "SOURCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+source+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	jobs := map[string]string{}
	for _, m := range example.FindAllStringSubmatch(section, -1) {
		jobs[m[1]] = m[2]
	}
	if !found || len(jobs) == 0 {
		t.Fatalf("docs/SOURCES.md has no examples for %s", source)
	}
	return jobs
}
