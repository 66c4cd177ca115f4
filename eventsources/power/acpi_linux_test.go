package power

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// family is that of the recorded messages.
const family = 0x1a

// recorded returns a message of testdata, which is in hex.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// notice is the message of a notification, as the kernel makes it.
func notice(class, device string, notify, data uint32) []byte {
	b := make([]byte, 16+4+4+eventSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], family)
	b[16], b[17] = cmdEvent, 1
	binary.NativeEndian.PutUint16(b[20:], 4+eventSize)
	binary.NativeEndian.PutUint16(b[22:], attrEvent)
	copy(b[24:], class)
	copy(b[24+classSize:], device)
	binary.NativeEndian.PutUint32(b[24+typeAt:], notify)
	binary.NativeEndian.PutUint32(b[24+typeAt+4:], data)
	return b
}

// TestRecordedNotification reads what Linux 6.1 said when QEMU's power button
// was pressed.
func TestRecordedNotification(t *testing.T) {
	b := recorded(t, "button.genl")
	want := []notification{{"button/power", "LNXPWRBN:00", "00000080", "00000001"}}
	if got := parseNotifications(b, family); !slices.Equal(got, want) {
		t.Errorf("read %q", got)
	}
	if made := notice("button/power", "LNXPWRBN:00", 0x80, 1); len(made) != len(b) {
		t.Errorf("tests make messages of %d bytes, the kernel of %d", len(made), len(b))
	}
}

func TestRecordedFamily(t *testing.T) {
	if id, group := parseFamily(recorded(t, "family.genl"), acpiGroup); id != family || group == 0 {
		t.Errorf("family %#x, group %#x", id, group)
	}
	if _, group := parseFamily(recorded(t, "family.genl"), "other"); group != 0 {
		t.Errorf("group %#x of a name that is not there", group)
	}
}

// TestOddNotifications wants what is not right left out, and what is behind it
// read.
func TestOddNotifications(t *testing.T) {
	good := notice("ac_adapter", "ACPI0003:00", 0x80, 0)
	change := func(at int, b ...byte) []byte {
		return append(slices.Clone(good[:at]), append(b, good[at+len(b):]...)...)
	}
	for name, c := range map[string]struct {
		message []byte
		want    int
	}{
		"whole":                   {good, 1},
		"two":                     {slices.Concat(good, good), 2},
		"empty":                   {nil, 0},
		"header alone":            {good[:16], 0},
		"cut off":                 {good[:len(good)-1], 0},
		"second cut off":          {slices.Concat(good, good[:30]), 1},
		"size of nothing":         {change(0, 0, 0, 0, 0), 0},
		"size of all there is":    {change(0, 255, 255, 255, 255), 0},
		"other family":            {change(4, family+1), 0},
		"other command":           {change(16, 9), 0},
		"other attribute":         {change(22, 9), 0},
		"attribute too long":      {change(20, 255), 0},
		"attribute too short":     {change(20, 20), 0},
		"attribute of no size":    {change(20, 0), 0},
		"no class":                {change(24, 0), 0},
		"class without its end":   {change(24, []byte(strings.Repeat("c", 20))...), 1},
		"class with odd letters":  {change(24, 'a', '\n', ' ', '\t', 0xff, 'b', 0), 1},
		"attribute marked nested": {change(23, unix.NLA_F_NESTED>>8), 1},
	} {
		got := parseNotifications(c.message, family)
		if len(got) != c.want {
			t.Errorf("%s: read %q", name, got)
		}
		for _, n := range got {
			if strings.ContainsFunc(strings.Join(n.env(), ""), unfit) {
				t.Errorf("%s: %q", name, n.env())
			}
		}
	}
}

func TestLines(t *testing.T) {
	for line, want := range map[string]string{
		"button/power LNXPWRBN:00 00000080 00000001": "CLASS=button/power DEVICE=LNXPWRBN:00 NOTIFY=00000080 DATA=00000001",
		"button/lid LID open":                        "CLASS=button/lid DEVICE=LID NOTIFY=open",
		"button/wlan WLAN 00000080 00000000 K":       "CLASS=button/wlan DEVICE=WLAN NOTIFY=00000080 DATA=00000000",
		"a\x01b\xff c d":                             "CLASS=ab DEVICE=c NOTIFY=d",
		"":                                           "",
		"two words":                                  "",
	} {
		got := ""
		if n, ok := parseLine(line); ok {
			got = strings.Join(n.env(), " ")
		}
		if got != want {
			t.Errorf("%q: read %q", line, got)
		}
	}
}

// unfit is what an environment gets none of.
func unfit(r rune) bool { return r <= ' ' || r > '~' }

// FuzzMessages has all that other programs and the kernel send.
func FuzzMessages(f *testing.F) {
	f.Add(recorded(f, "button.genl"))
	f.Add(recorded(f, "family.genl"))
	f.Add([]byte("button/power PBTN 00000080 00000000 K"))
	f.Add([]byte("10000000000000 0 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list := parseNotifications(b, family)
		parseFamily(b, acpiGroup)
		if n, ok := parseLine(string(b)); ok {
			list = append(list, n)
		}
		for _, n := range list {
			for _, v := range n.env() {
				if strings.ContainsFunc(v, unfit) {
					t.Errorf("%q", v)
				}
			}
		}
		d := &input{keys: true, hasLid: false}
		if events := d.take(b); len(events) > len(b)/inputEventSize {
			t.Errorf("%d events", len(events))
		}
		has(string(b), keyPower)
	})
}
