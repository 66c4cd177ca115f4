package linux

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketcallListen calls listen as programs of 32 bits do: by number 102 of
// their table, with arguments in memory.
func socketcallListen(fd, backlog int) error {
	runtime.LockOSThread()
	page, err := unix.MmapPtr(-1, 0, nil, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_32BIT)
	if err != nil {
		return err
	}
	args := (*[2]int32)(page)
	*args = [2]int32{int32(fd), int32(backlog)}
	at := uint32(uintptr(page))
	code := []byte{
		0x53,               // push rbx
		0xb8, 102, 0, 0, 0, // mov eax, 102
		0xbb, 4, 0, 0, 0, // mov ebx, 4
		0xb9, 0, 0, 0, 0, // mov ecx, args
		0xcd, 0x80, // int 0x80
		0xb9, 0, 0, 0, 0, // mov ecx, result
		0x89, 0x01, // mov [rcx], eax
		0x5b, // pop rbx
		0xc3, // ret
	}
	*(*uint32)(unsafe.Pointer(&code[12])) = at
	*(*uint32)(unsafe.Pointer(&code[19])) = at + 8
	copy(unsafe.Slice((*byte)(unsafe.Add(page, 64)), len(code)), code)
	entry := uintptr(page) + 64
	function := &entry
	(*(*func())(unsafe.Pointer(&function)))()
	if result := *(*int32)(unsafe.Add(page, 8)); result < 0 {
		return unix.Errno(-result)
	}
	return nil
}
