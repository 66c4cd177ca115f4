package socket

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holder tells of a process that has the address: " by sshd (812)". It is
// empty if there is none that may be looked at.
func (s *spec) holder() string {
	var inodes []string
	switch {
	case s.proto == "unix":
		inodes = s.unixInodes(readTable("unix"))
	case s.proto == "inet", s.proto == "inet6":
		for _, name := range []string{"tcp", "tcp6", "udp", "udp6"} {
			if (name[:3] == "udp") == (s.kind == unix.SOCK_DGRAM) {
				inodes = append(inodes, s.inetInodes(readTable(name))...)
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, file := range files {
		target, _ := os.Readlink(file)
		for _, inode := range inodes {
			if target == "socket:["+inode+"]" {
				pid := strings.Split(file, "/")[2]
				name, _ := os.ReadFile("/proc/" + pid + "/comm")
				return " by " + string(bytes.TrimSpace(name)) + " (" + pid + ")"
			}
		}
	}
	return ""
}

// readTable returns the rows of a table of sockets (proc(5)).
func readTable(name string) [][]string {
	text, _ := os.ReadFile("/proc/self/net/" + name)
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

// unixInodes are those of the sockets with our path, the last of 8 columns.
func (s *spec) unixInodes(rows [][]string) (inodes []string) {
	for _, row := range rows {
		if len(row) == 8 && row[7] == s.path {
			inodes = append(inodes, row[6])
		}
	}
	return inodes
}

// inetInodes are those of the sockets that listen, or take datagrams, at an
// address that is in the way of ours.
func (s *spec) inetInodes(rows [][]string) (inodes []string) {
	const listening, unconnected = "0A", "07"
	for _, row := range rows {
		if len(row) < 10 || row[3] != listening && row[3] != unconnected {
			continue
		}
		at, ok := parseEndpoint(row[1])
		if ok && uint32(at.Port()) == s.port && (s.isAny() ||
			at.Addr().IsUnspecified() || at.Addr().Unmap() == s.addr.WithZone("").Unmap()) {
			inodes = append(inodes, row[9])
		}
	}
	return inodes
}

// parseEndpoint reads an address in hex, in words of the machine's byte order,
// and a port.
func parseEndpoint(text string) (at netip.AddrPort, ok bool) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw)%4 != 0 {
		return at, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a, uint16(n)), ok && err == nil
}
