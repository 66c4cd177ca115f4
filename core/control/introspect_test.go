package control

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// golden returns a recording of the original made in ../shared.
func golden(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	text, err := os.ReadFile(filepath.Join(dir, "..", "shared", "oracle", "golden", name))
	if err != nil {
		t.Skip("the recordings of the original are not there: ", err)
	}
	return string(text)
}

// TestIntrospectionContainsTheOriginal wants each line of the original in
// our text, in the same order, and no other but of what Onset adds.
func TestIntrospectionContainsTheOriginal(t *testing.T) {
	sections := strings.Split(golden(t, "63-getstate.txt"), "## introspect ")[1:]
	tests := []struct {
		object   Object
		children []string
		added    int // lines
	}{
		// SetFact ClearFact AssertFact RetractFact, AssertFactWithFile, GetFacts GetProviders Why
		{Object{}, []string{"jobs"}, 4*4 + 5 + 3 + 4 + 4},
		// start_on_expanded stop_on_expanded while provides
		{ClassObject("", "foo"), []string{"_"}, 4},
		// respawn_at phase status_text oom_kills
		{InstanceObject("", "foo", ""), nil, 6 + 4},
	}
	for i, tt := range tests {
		_, want, _ := strings.Cut(sections[i], "\n")
		want, _, _ = strings.Cut(want, "\n</node>")
		lines := strings.Split(Introspect(tt.object, tt.children), "\n")
		wanted := 0
		for _, line := range strings.Split(want, "\n") {
			if line = strings.TrimPrefix(line, `   string "`); line == "" {
				continue
			}
			at := slices.Index(lines, line)
			if at < 0 {
				t.Fatalf("%s: no line %q", tt.object.Path(), line)
			}
			lines = lines[at+1:]
			wanted++
		}
		// The recording lacks the second line of the header, and want the last.
		all := strings.Count(Introspect(tt.object, tt.children), "\n")
		if extra := all - wanted - 2; extra != tt.added {
			t.Errorf("%s: %d lines more than the original, want %d", tt.object.Path(), extra, tt.added)
		}
	}
}

func TestIntrospectionIsXML(t *testing.T) {
	type node struct {
		Name      string `xml:"name,attr"`
		Interface []struct {
			Name string `xml:"name,attr"`
		} `xml:"interface"`
		Node []struct {
			Name string `xml:"name,attr"`
		} `xml:"node"`
	}
	for text, want := range map[string]node{
		Introspect(ClassObject("", "a-b"), []string{"_", "x"}): {Name: Root + "/jobs/a_2db"},
		IntrospectPath([]string{"_", "x"}):                     {},
	} {
		var got node
		if err := xml.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if got.Name != want.Name || len(got.Node) != 2 || got.Node[1].Name != "x" {
			t.Errorf("got %+v from\n%s", got, text)
		}
		if n := len(got.Interface); n != 0 && n != 3 {
			t.Errorf("%d interfaces", n)
		}
	}
}
