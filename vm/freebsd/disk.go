package freebsd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// disk is what an image has to be known for.
type disk struct {
	format string // as QEMU calls it
	uefi   bool   // there is an EFI system partition; otherwise it boots by BIOS
}

// diskHead is how much of a disk has its partition table, with room, in bytes.
const diskHead = 34 * 512

// efiSystem is the type of a partition, as on the disk (UEFI 5.3.3).
var efiSystem = []byte("\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b")

// readDisk looks at an image.
func readDisk(name string) (disk, error) {
	f, err := os.Open(name)
	if err != nil {
		return disk{}, err
	}
	defer f.Close()
	magic := make([]byte, 6)
	f.ReadAt(magic, 0)
	d := disk{format: "raw"}
	start := int64(0)
	switch {
	case strings.HasPrefix(string(magic), "QFI\xfb"):
		d.format = "qcow2"
		start, err = qcowStart(f)
	case string(magic) == "\xfd7zXZ\x00":
		err = errors.New("it is compressed: unpack it with unxz")
	}
	head := make([]byte, diskHead)
	if err == nil {
		_, err = f.ReadAt(head, start)
	}
	if err == nil {
		d.uefi, err = hasEFI(head)
	}
	if err != nil {
		err = fmt.Errorf("%q is no image to boot: %v", name, err)
	}
	return d, err
}

// hasEFI looks for the partition in the tables of a disk (UEFI 5.2, 5.3), which
// are in its first 34 blocks.
func hasEFI(head []byte) (bool, error) {
	const (
		mbrTypes = 446 + 4 // 16 bytes apart
		mbrEFI   = 0xef
		mbrEnd   = 510
		header   = 512 // of the other table
		where    = 72  // in the header: block of the entries, their number and size
	)
	if head[mbrEnd] != 0x55 || head[mbrEnd+1] != 0xaa {
		return false, errors.New("it has no partitions")
	}
	for i := mbrTypes; i < mbrEnd; i += 16 {
		if head[i] == mbrEFI {
			return true, nil
		}
	}
	if string(head[header:header+8]) != "EFI PART" {
		return false, nil
	}
	at := binary.LittleEndian.Uint64(head[header+where:])
	size := binary.LittleEndian.Uint32(head[header+where+12:])
	if size < 128 || at > diskHead/512 {
		return false, errors.New("its partition table is damaged")
	}
	for entry := range slices.Chunk(head[at*512:], int(size)) {
		if bytes.HasPrefix(entry, efiSystem) {
			return true, nil
		}
	}
	return false, nil
}

// qcowStart is where a qcow2 image (docs/interop/qcow2.rst of QEMU) has the
// beginning of the disk, by the first entries of the two tables.
func qcowStart(f io.ReaderAt) (int64, error) {
	const (
		firstTable = 40 // in the header
		address    = 0x00fffffffffffe00
		compressed = 1 << 62
	)
	at := int64(firstTable)
	for range 3 { // the header, the first table, the second
		var entry [8]byte
		if _, err := f.ReadAt(entry[:], at); err != nil {
			return 0, err
		}
		value := binary.BigEndian.Uint64(entry[:])
		if value&compressed != 0 {
			return 0, errors.New("its beginning is compressed: convert it with qemu-img")
		}
		if at = int64(value & address); at == 0 {
			return 0, errors.New("it is empty")
		}
	}
	return at, nil
}
