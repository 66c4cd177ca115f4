package network

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// readAll takes what a buffer has as if it were told, and as a part of lists.
func readAll(b []byte) (told []string, moved bool, err error) {
	k := &kernel{up: map[int]bool{}}
	var c change
	if moved, err = k.take(&c, b); err != nil {
		return nil, moved, err
	}
	for _, l := range c.links {
		told = append(told, fmt.Sprintf("link %+v", l))
	}
	_, err = readList(b, func(m *syscall.NetlinkMessage) error {
		switch m.Header.Type {
		case unix.RTM_NEWADDR:
			a, ok, err := parseAddress(m)
			told = append(told, fmt.Sprintf("address %+v %v", a, ok))
			return err
		case unix.RTM_NEWROUTE:
			if isDefault(m) {
				ways, err := parseRoute(m)
				told = append(told, fmt.Sprintf("ways %+v", ways))
				return err
			}
		}
		return nil
	})
	return told, moved, err
}

func TestRecordedRtnetlink(t *testing.T) {
	_, messages := recorded(t, "rtnetlink")
	var told []string
	for _, m := range messages {
		got, moved, err := readAll(m)
		if err != nil {
			t.Fatalf("%x: %v", m, err)
		}
		if len(got) == 0 {
			got = []string{"nothing"}
		}
		told = append(told, fmt.Sprintf("%s, moved %v", strings.Join(got, "; "), moved))
	}
	want := []string{
		"address {index:1 v6:false} false, moved true",
		"address {index:1 v6:true} false, moved false",
		"link {link:{index:3 name:r0 up:false loopback:false state:lowerlayerdown address:02:00:00:00:00:0a} gone:false}, moved false",
		"link {link:{index:3 name:r0 up:true loopback:false state:up address:02:00:00:00:00:0a} gone:false}, moved true",
		"address {index:3 v6:false} true, moved true",
		"address {index:3 v6:true} true, moved true",
		"ways [{index:3 v6:false metric:5}], moved true",
		"ways [{index:3 v6:false metric:5}], moved true",
		"ways [{index:3 v6:true metric:1024}], moved true",
		"ways [{index:3 v6:false metric:9} {index:3 v6:false metric:9}], moved true",
		"nothing, moved true", // a route goes
		"nothing, moved true", // an address goes
		"nothing, moved false",
		"nothing, moved false", // a port of a bridge comes
		"nothing, moved false", // and goes
		"nothing, moved true",
		"nothing, moved true",
		"nothing, moved false",
		"link {link:{index:3 name:r0 up:false loopback:false state:down address:02:00:00:00:00:0a} gone:true}, moved false",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// TestCutRtnetlink cuts each message at each byte, with the length it then has.
func TestCutRtnetlink(t *testing.T) {
	_, messages := recorded(t, "rtnetlink")
	for _, m := range messages {
		for n := unix.SizeofNlMsghdr; n < len(m); n++ {
			cut := slices.Clone(m[:n])
			binary.NativeEndian.PutUint32(cut, uint32(n))
			_, _, err := readAll(cut)
			if n < unix.SizeofNlMsghdr+unix.SizeofIfAddrmsg && err == nil && m[4] != unix.RTM_NEWROUTE && m[4] != unix.RTM_DELROUTE {
				t.Errorf("%x is no error", cut)
			}
		}
	}
}

func TestListsThatFail(t *testing.T) {
	message := func(kind, flags uint16, data ...byte) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(data)))
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = binary.NativeEndian.AppendUint16(b, flags)
		return append(append(b, make([]byte, 8)...), data...)
	}
	each := func(*syscall.NetlinkMessage) error { return nil }
	if _, err := readList(message(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR), each); err != errChanged {
		t.Errorf("a list that changed: %v", err)
	}
	if _, err := readList(message(unix.NLMSG_ERROR, 0, 0xff, 0xff, 0xff, 0xff), each); err != unix.EPERM {
		t.Errorf("a list that is refused: %v", err)
	}
	if done, err := readList(message(unix.NLMSG_DONE, 0), each); !done || err != nil {
		t.Errorf("the end: %v, %v", done, err)
	}
}

func FuzzRtnetlink(f *testing.F) {
	_, messages := recorded(f, "rtnetlink")
	for _, m := range messages {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		told, _, err := readAll(b)
		if err != nil {
			return
		}
		for _, line := range told {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q", line)
			}
		}
	})
}
