package watch

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWriters asks of a file that is being written, and of one that was.
func TestWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.conf")
	writer, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ask := func(what string, want answer) {
		t.Helper()
		switch got := writers(int(reader.Fd())); got {
		case want:
		case unknown:
			t.Skip("SKIPPED: this kernel, or this user, cannot be told")
		default:
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	ask("one writer", yes)
	writer.Close()
	ask("no writer", no)
}
