package power

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/sys/unix"

	"onset/eventsources"
)

// notification is what ACPI tells, in acpid's words.
type notification struct {
	class  string // button/power, ac_adapter, …
	device string // LNXPWRBN:00, or PBTN where acpid has it of an input device
	notify string // 00000080, or a word of acpid's
	data   string // 00000001, or empty
}

func (n *notification) env() []string {
	env := []string{"CLASS=" + n.class, "DEVICE=" + n.device, "NOTIFY=" + n.notify}
	if n.data != "" {
		env = append(env, "DATA="+n.data)
	}
	return env
}

// parseLine reads a line of acpid's socket.
//
//	button/power LNXPWRBN:00 00000080 00000001
//	button/lid LID open
func parseLine(line string) (n notification, ok bool) {
	words := strings.Fields(eventsources.Printable(line))
	if len(words) < 3 {
		return n, false
	}
	n = notification{class: words[0], device: words[1], notify: words[2]}
	if len(words) > 3 {
		n.data = words[3]
	}
	return n, true
}

// The kernel's drivers/acpi/event.c.
const (
	acpiFamily = "acpi_event"
	acpiGroup  = "acpi_mc_group"

	cmdEvent  = 1 // ACPI_GENL_CMD_EVENT
	attrEvent = 1 // ACPI_GENL_ATTR_EVENT

	classSize, deviceSize = 20, 15 // of struct acpi_genl_event
	typeAt                = 36
	eventSize             = 44

	typeMask = 1<<14 - 1 // NLA_TYPE_MASK
)

// parseNotifications reads the notifications in what a netlink socket gave;
// family is the number of acpi_event. What is something else is left out.
func parseNotifications(b []byte, family uint16) (list []notification) {
	for m := range messages(b) {
		if m.kind != family || len(m.body) < unix.GENL_HDRLEN || m.body[0] != cmdEvent {
			continue
		}
		for kind, value := range attributes(m.body[unix.GENL_HDRLEN:]) {
			if kind != attrEvent || len(value) < eventSize {
				continue
			}
			n := notification{
				class:  text(value[:classSize]),
				device: text(value[classSize : classSize+deviceSize]),
				notify: fmt.Sprintf("%08x", binary.NativeEndian.Uint32(value[typeAt:])),
				data:   fmt.Sprintf("%08x", binary.NativeEndian.Uint32(value[typeAt+4:])),
			}
			if n.class != "" {
				list = append(list, n)
			}
		}
	}
	return list
}

// text is a string of C, without blanks.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.Join(strings.Fields(eventsources.Printable(string(b))), "")
}

// message is one of netlink's (netlink(7)).
type message struct {
	kind uint16
	body []byte
}

// messages are those in a datagram, up to one that is cut off.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= unix.SizeofNlMsghdr {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) ||
				!yield(message{binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size]}) {
				return
			}
			b = b[min(align(size), len(b)):]
		}
	}
}

// attributes are those in a message, up to one that is cut off.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			size := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) & typeMask
			if size < unix.SizeofNlAttr || size > len(b) || !yield(kind, b[unix.SizeofNlAttr:size]) {
				return
			}
			b = b[min(align(size), len(b)):]
		}
	}
}

func align(n int) int { return (n + 3) &^ 3 }

// askFamily is the message that asks for a family of generic netlink.
func askFamily(name string) []byte {
	value := append([]byte(name), 0)
	attr := unix.SizeofNlAttr + len(value)
	size := unix.SizeofNlMsghdr + unix.GENL_HDRLEN + attr
	b := make([]byte, align(size))
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.GENL_ID_CTRL)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	body := b[unix.SizeofNlMsghdr:]
	body[0], body[1] = unix.CTRL_CMD_GETFAMILY, 1
	body = body[unix.GENL_HDRLEN:]
	binary.NativeEndian.PutUint16(body, uint16(attr))
	binary.NativeEndian.PutUint16(body[2:], unix.CTRL_ATTR_FAMILY_NAME)
	copy(body[unix.SizeofNlAttr:], value)
	return b
}

// parseFamily reads the answer: the numbers of a family and of its group of
// that name; 0 where it has none.
func parseFamily(b []byte, name string) (family uint16, group uint32) {
	for m := range messages(b) {
		if m.kind != unix.GENL_ID_CTRL || len(m.body) < unix.GENL_HDRLEN {
			continue
		}
		for kind, value := range attributes(m.body[unix.GENL_HDRLEN:]) {
			switch {
			case kind == unix.CTRL_ATTR_FAMILY_ID && len(value) >= 2:
				family = binary.NativeEndian.Uint16(value)
			case kind == unix.CTRL_ATTR_MCAST_GROUPS:
				for _, entry := range attributes(value) {
					if id, is := groupOf(entry); is == name {
						group = id
					}
				}
			}
		}
	}
	return family, group
}

func groupOf(entry []byte) (id uint32, name string) {
	for kind, value := range attributes(entry) {
		switch {
		case kind == unix.CTRL_ATTR_MCAST_GRP_NAME:
			name = text(value)
		case kind == unix.CTRL_ATTR_MCAST_GRP_ID && len(value) >= 4:
			id = binary.NativeEndian.Uint32(value)
		}
	}
	return id, name
}
