package udev

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the messages of testdata come to")

// TestRecorded plays what a machine told as a disk and a NIC were plugged in,
// renamed and drawn out, the kernel and Debian's udevd at the same time. Each
// line is a message as a string of Go.
func TestRecorded(t *testing.T) {
	for name, g := range map[string]group{"kernel": kernelGroup, "udevd": udevGroup} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/" + name + ".messages")
			if err != nil {
				t.Fatal(err)
			}
			tr, init := newTest(t, "block-device-added", "block-device-removed", "net-device-added", "net-device-removed", "net-device-move",
				"nvme-device-changed", "pci-device-bind", "while block-device", "while net-device")
			for line := range strings.Lines(string(text)) {
				data, err := strconv.Unquote(strings.TrimSpace(line))
				if err != nil {
					t.Fatal(err)
				}
				u, ok := read(g, []byte(data))
				if !ok {
					t.Fatalf("not read: %s", line)
				}
				if tr.want.tracks(u.subsystem) {
					handle(t, tr, u)
				}
			}
			got, golden := strings.Join(init.Take(), "\n")+"\n", "testdata/"+name+".told"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("told\n%s", got)
			}
		})
	}
}
