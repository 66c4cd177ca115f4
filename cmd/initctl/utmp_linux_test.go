package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"onset/platform/utmp"
)

// kinds lists the records of a file: kind, level and previous level.
func kinds(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil || len(text)%utmp.Size != 0 {
		t.Fatalf("%s: %d bytes, %v", file, len(text), err)
	}
	var list []string
	for ; len(text) > 0; text = text[utmp.Size:] {
		pid := binary.NativeEndian.Uint32(text[4:])
		level := func(n uint32) string {
			if n == 0 {
				return "0"
			}
			return string(rune(n))
		}
		list = append(list, fmt.Sprintf("%d:%s/%s", binary.NativeEndian.Uint16(text), level(pid%256), level(pid/256)))
	}
	return strings.Join(list, " ")
}
