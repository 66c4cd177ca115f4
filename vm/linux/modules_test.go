package linux

import (
	"slices"
	"testing"
)

func TestModulesComeAfterWhatTheyNeed(t *testing.T) {
	kernel, _ := machineNeeds(t)
	if kernel.Modules == "" {
		t.Skipf("SKIPPED: there are no modules of kernel %s", kernel.Version)
	}
	all, err := findModules(kernel.Modules)
	if err != nil {
		t.Fatal(err)
	}
	order, err := all.order(nil, "virtio-net")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"virtio_ring", "virtio", "failover", "net_failover", "virtio_net"}
	if !slices.Equal(order, want) {
		t.Errorf("order: %q, want %q", order, want)
	}
	if order, err = all.order(nil, "8250_pci"); err != nil || len(order) != 0 {
		t.Errorf("of a part of the kernel: %q, %v", order, err)
	}
	if _, err = all.order(nil, "nonesuch"); err == nil {
		t.Error("no error for a module that does not exist")
	}
}
