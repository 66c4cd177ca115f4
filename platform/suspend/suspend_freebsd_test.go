package suspend

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHibernateKeepsMemory has no machine switched off that would lose all.
func TestHibernateKeepsMemory(t *testing.T) {
	offered, err := unix.Sysctl("hw.acpi.supported_sleep_state")
	if err != nil || !strings.Contains(offered, "S4") {
		t.Skipf("SKIPPED: no S4 here: %q, %v", offered, err)
	}
	old, err := unix.SysctlUint32("hw.acpi.s4bios")
	if err != nil {
		t.Skipf("SKIPPED: hw.acpi.s4bios: %v", err)
	}
	switch err := Supported(Hibernate); {
	case old == 0 && (err == nil || !strings.Contains(err.Error(), "s4bios")):
		t.Errorf("without S4BIOS: %v", err)
	case old != 0 && err != nil:
		t.Errorf("with S4BIOS: %v", err)
	}
}
