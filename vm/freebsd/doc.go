// Package freebsd boots FreeBSD machines by the scripts of vm/testdata and its
// own (package script), if it is told how:
//
// ONSET_FREEBSD_BOOT is a command, called as CMD INIT OVERLAY_DIR TIMEOUT_S,
// that boots a FreeBSD kernel with the file INIT as /sbin/init and what is in
// the folder in its root, which can be written to. Standard output is the
// serial console. It exits with 0 when the machine is switched off or reset, 3
// when the kernel panicked, 124 when the time is up. Nothing can be typed, so
// the guest plays the script itself (package guest), and the transcript is
// judged here by the same script. "append" is not for such machines.
//
// ONSET_FREEBSD_IMAGE is the disk image of an official release for virtual
// machines (raw or qcow2). It is booted in QEMU, under UEFI firmware if it has
// an EFI system partition and by BIOS otherwise, and is not changed: its loader
// and its kernel are taken from there, the root from an ISO of ours, and all is
// driven over the serial console as with Linux. "append" sets variables of the
// loader, and "plug" is for such machines alone.
//
// ONSET_FREEBSD_ARCH=arm64 says that kernel or image are of that; amd64 is the
// default.
//
// The root has nothing but device nodes, our init with initctl and its other
// names in /sbin, and the shell and tools of package guest in /bin.
package freebsd
