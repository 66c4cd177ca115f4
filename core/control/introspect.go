package control

import "strings"

const dtd = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// Introspect describes an object in the XML of D-Bus introspection; children
// are the escaped names of the nodes below it.
func Introspect(o Object, children []string) string {
	var b strings.Builder
	b.WriteString(dtd)
	b.WriteString(`<node name="` + string(o.Path()) + "\">\n")
	for _, iface := range [...]string{ownInterface[o.Kind], InterfaceProperties, InterfaceIntrospect} {
		writeInterface(&b, iface)
	}
	writeChildren(&b, children)
	return b.String()
}

// IntrospectPath describes a path that has nothing but objects below it.
func IntrospectPath(children []string) string {
	var b strings.Builder
	b.WriteString(dtd + "<node>\n")
	writeChildren(&b, children)
	return b.String()
}

func writeInterface(b *strings.Builder, iface string) {
	b.WriteString(`  <interface name="` + iface + "\">\n")
	for _, m := range Methods {
		if m.Interface == iface {
			b.WriteString(`    <method name="` + m.Name + "\">\n")
			writeArgs(b, m.In, ` direction="in"`)
			writeArgs(b, m.Out, ` direction="out"`)
			b.WriteString("    </method>\n")
		}
	}
	for _, s := range Signals {
		if s.Interface == iface {
			b.WriteString(`    <signal name="` + s.Name + "\">\n")
			writeArgs(b, s.Out, "")
			b.WriteString("    </signal>\n")
		}
	}
	for _, p := range Properties {
		if p.Interface == iface {
			access := "read"
			if p.Set != "" {
				access = "readwrite"
			}
			b.WriteString(`    <property name="` + p.Name + `" type="` + p.Type + `" access="` + access + "\"/>\n")
		}
	}
	b.WriteString("  </interface>\n")
}

func writeArgs(b *strings.Builder, args []Arg, direction string) {
	for _, a := range args {
		b.WriteString(`      <arg name="` + a.Name + `" type="` + a.Type + `"` + direction + "/>\n")
	}
}

// writeChildren ends the node.
func writeChildren(b *strings.Builder, children []string) {
	for _, c := range children {
		b.WriteString(`  <node name="` + c + "\"/>\n")
	}
	b.WriteString("</node>\n")
}
