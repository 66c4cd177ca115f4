package socket

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const hasHolders = false

// siocAddAlias is SIOCAIFADDR of FreeBSD 10 and later.
const siocAddAlias = 0x8044692b

// loopback gives lo0 its address.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	in4 := func(a ...byte) unix.RawSockaddrInet4 {
		return unix.RawSockaddrInet4{Len: unix.SizeofSockaddrInet4, Family: unix.AF_INET, Addr: [4]byte(a)}
	}
	r := struct { // struct in_aliasreq
		name                     [unix.IFNAMSIZ]byte
		address, broadcast, mask unix.RawSockaddrInet4
		vhid                     int32
	}{name: [unix.IFNAMSIZ]byte{'l', 'o', '0'}, address: in4(127, 0, 0, 1), mask: in4(255, 0, 0, 0)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), siocAddAlias, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return errno
	}
	return nil
}
