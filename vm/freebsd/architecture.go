package freebsd

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"onset/vm"
)

// ArchVariable chooses the processor of the guests, as Go calls it: amd64 [the
// default] or arm64.
const ArchVariable = "ONSET_FREEBSD_ARCH"

// architecture has what differs between the machines of images.
type architecture struct {
	goarch, program string
	accelerator     *vm.Accelerator // nil is the best there is
	machine         string
	devices         []string // arguments of QEMU
	keys            bool     // they and the power button reach the kernel
	firmware        []firmware
	missing         string // what is said without firmware
}

// firmware for UEFI, in one file or without its variables.
type firmware struct{ file, option string }

const (
	bios  = "-bios"
	flash = "-drive"
)

var architectures = []architecture{
	{
		goarch: "amd64", program: vm.Program, machine: "q35", devices: []string{"-vga", "std"}, keys: true,
		firmware: []firmware{
			{"/usr/share/ovmf/OVMF.fd", bios},
			{"/usr/share/OVMF/OVMF_CODE_4M.fd", flash},
			{"/usr/share/OVMF/OVMF_CODE.fd", flash},
			{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", flash},
			{"/usr/share/edk2/ovmf/OVMF_CODE.fd", flash},
			{"/usr/share/qemu/edk2-x86_64-code.fd", flash},
		},
		missing: "no UEFI firmware for x86-64: install ovmf",
	},
	{
		goarch: "arm64", program: "qemu-system-aarch64",
		accelerator: &vm.Accelerator{Name: vm.TCG.Name, CPU: "cortex-a57", Scale: vm.TCG.Scale},
		// Without a source of entropy whoever opens /dev/random waits. With a screen
		// the kernel of 12.1 would not have its console on the serial line, and
		// without one it reads no keyboard. It has no driver for the button.
		machine: "virt", devices: []string{"-device", "virtio-rng-pci"},
		firmware: []firmware{
			{"/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", bios},
			{"/usr/share/AAVMF/AAVMF_CODE.fd", flash},
			{"/usr/share/edk2/aarch64/QEMU_EFI.fd", bios},
			{"/usr/share/qemu/edk2-aarch64-code.fd", flash},
		},
		missing: "no UEFI firmware for arm64: install qemu-efi-aarch64",
	},
}

// guestArchitecture is the one that is asked for.
func guestArchitecture() (*architecture, error) {
	asked := os.Getenv(ArchVariable)
	var known []string
	for i, a := range architectures {
		if asked == a.goarch || asked == "" {
			return &architectures[i], nil
		}
		known = append(known, a.goarch)
	}
	return nil, fmt.Errorf("%s=%q: it is one of %s", ArchVariable, asked, strings.Join(known, ", "))
}

// uefi returns the arguments of QEMU for the firmware.
func (a *architecture) uefi() ([]string, error) {
	for _, f := range a.firmware {
		if _, err := os.Stat(f.file); err != nil {
			continue
		}
		if f.option == bios {
			return []string{bios, f.file}, nil
		}
		return []string{flash, "if=pflash,format=raw,readonly=on,file=" + f.file}, nil
	}
	return nil, errors.New(a.missing)
}
