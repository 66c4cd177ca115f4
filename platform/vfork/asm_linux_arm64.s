#include "textflag.h"
#include "go_asm.h"

// func run(t *Table) int
//
// See the package comment. From clone3 to its end the child uses registers
// and the table alone; SVC keeps all registers but R0.
TEXT ·run(SB), NOSPLIT|NOFRAME, $0-16
	MOVD	t+0(FP), R9
	MOVD	$2, R0 // SIG_SETMASK
	ADD	$Table_all, R9, R1
	ADD	$Table_own, R9, R2
	MOVD	$8, R3
	MOVD	$135, R8 // rt_sigprocmask
	SVC
	ADD	$Table_clone, R9, R0
	MOVD	$const_cloneSize, R1
	MOVD	$435, R8 // clone3
	SVC
	CBZ	R0, child
	MOVD	R0, ret+8(FP)
	MOVD	$2, R0
	ADD	$Table_own, R9, R1
	MOVD	ZR, R2
	MOVD	$8, R3
	MOVD	$135, R8
	SVC
	RET

child:
	MOVD	Table_PID(R9), R10
	CBZ	R10, calls
	MOVD	$172, R8 // getpid
	SVC
	ADD	$(const_PIDRoom-1), R10, R11
	MOVD	$10, R1
digit: // backwards, before the 0 at the end
	UDIV	R1, R0, R2
	MSUB	R1, R0, R2, R3
	ADD	$48, R3
	SUB	$1, R11
	MOVB	R3, 0(R11)
	MOVD	R2, R0
	CBNZ	R0, digit
move: // with the 0
	MOVBU	0(R11), R3
	MOVB	R3, 0(R10)
	ADD	$1, R11
	ADD	$1, R10
	CBNZ	R3, move
calls:
	MOVD	Table_Calls(R9), R10
	MOVD	(Table_Calls+8)(R9), R11
	MOVD	ZR, R12
next:
	CMP	R11, R12
	BEQ	exit
	ADD	$1, R12
	MOVD	(Call_Args+0)(R10), R0
	MOVD	(Call_Args+8)(R10), R1
	MOVD	(Call_Args+16)(R10), R2
	MOVD	(Call_Args+24)(R10), R3
	MOVD	Call_Number(R10), R8
	SVC
	ADD	$Call__size, R10
	CMN	$4095, R0
	BCC	next
	NEG	R0, R0
	MOVD	R0, Table_errno(R9)
	MOVD	R12, Table_failed(R9)
exit:
	MOVD	$255, R0
	MOVD	$94, R8 // exit_group
	SVC
	B	exit

// func getLimit(limit *[2]uint64)
TEXT ·getLimit(SB), NOSPLIT|NOFRAME, $0-8
	MOVD	ZR, R0
	MOVD	$7, R1 // RLIMIT_NOFILE
	MOVD	ZR, R2
	MOVD	limit+0(FP), R3
	MOVD	$261, R8 // prlimit64
	SVC
	RET
