package freebsd

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// table is the beginning of a disk whose second partition has that type.
func table(partition []byte) []byte {
	head := make([]byte, diskHead)
	copy(head[510:], "\x55\xaaEFI PART")
	binary.LittleEndian.PutUint64(head[512+72:], 2)
	binary.LittleEndian.PutUint32(head[512+80:], 128)
	binary.LittleEndian.PutUint32(head[512+84:], 128)
	copy(head[1024+128:], partition)
	return head
}

// qcow is an image with its first table at first, the second at second and the
// disk's beginning at 3<<16.
func qcow(first, second uint64, disk []byte) []byte {
	image := make([]byte, 3<<16, 3<<16+len(disk))
	copy(image, "QFI\xfb\x00\x00\x00\x03")
	binary.BigEndian.PutUint64(image[40:], 1<<16)
	binary.BigEndian.PutUint64(image[1<<16:], first)
	binary.BigEndian.PutUint64(image[2<<16:], second)
	return append(image, disk...)
}

func TestDiskTellsHowItBoots(t *testing.T) {
	const copied = 1 << 63 // a flag of entries
	boot := []byte("\x9d\x6b\xbd\x83\x41\x7f\xdc\x11\xbe\x0b\x00\x15\x60\xb8\x4f\x0f")
	damaged := table(efiSystem)
	binary.LittleEndian.PutUint64(damaged[512+72:], 1<<40)
	mbr, other := make([]byte, diskHead), make([]byte, diskHead)
	copy(mbr[510:], "\x55\xaa")
	copy(other[510:], "\x55\xaa")
	mbr[446+16+4], other[446+4] = 0xef, 0xa5
	for name, c := range map[string]struct {
		image []byte
		want  disk
		err   string
	}{
		"UEFI":         {table(efiSystem), disk{"raw", true}, ""},
		"BIOS":         {table(boot), disk{"raw", false}, ""},
		"qcow2, UEFI":  {qcow(2<<16|copied, 3<<16|copied, table(efiSystem)), disk{"qcow2", true}, ""},
		"qcow2, BIOS":  {qcow(2<<16|copied, 3<<16|copied, table(boot)), disk{"qcow2", false}, ""},
		"compressed":   {qcow(2<<16|copied, 3<<16|1<<62, table(boot)), disk{}, "compressed"},
		"empty qcow2":  {qcow(0, 0, nil), disk{}, "empty"},
		"xz":           {append([]byte("\xfd7zXZ\x00"), table(boot)...), disk{}, "unxz"},
		"MBR, UEFI":    {mbr, disk{"raw", true}, ""},
		"MBR, BIOS":    {other, disk{"raw", false}, ""},
		"no table":     {make([]byte, diskHead), disk{}, "no partitions"},
		"damaged":      {damaged, disk{}, "damaged"},
		"short":        {bytes.Repeat([]byte{1}, 700), disk{}, "EOF"},
		"short qcow2":  {qcow(2<<16, 9<<16, nil), disk{}, "EOF"},
		"nothing here": {nil, disk{}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(file, c.image, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readDisk(file)
			if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
