package eventsources

// Printable leaves out bytes that are neither printable nor blank, as all do
// that tell of devices (UPSTART §9.1).
func Printable(s string) string {
	bad := func(c byte) bool { return (c < ' ' || c > '~') && c != '\t' }
	i := 0
	for i < len(s) && !bad(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s[:i])
	for ; i < len(s); i++ {
		if !bad(s[i]) {
			b = append(b, s[i])
		}
	}
	return string(b)
}
