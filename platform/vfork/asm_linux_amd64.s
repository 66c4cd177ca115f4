#include "textflag.h"
#include "go_asm.h"

// func run(t *Table) int
//
// See the package comment. From clone3 to its end the child uses registers
// and the table alone; SYSCALL keeps all registers but AX, CX and R11.
TEXT ·run(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ	t+0(FP), R12
	MOVL	$2, DI // SIG_SETMASK
	LEAQ	Table_all(R12), SI
	LEAQ	Table_own(R12), DX
	MOVL	$8, R10
	MOVL	$14, AX // rt_sigprocmask
	SYSCALL
	LEAQ	Table_clone(R12), DI
	MOVL	$const_cloneSize, SI
	MOVL	$435, AX // clone3
	SYSCALL
	TESTQ	AX, AX
	JZ	child
	MOVQ	AX, ret+8(FP)
	MOVL	$2, DI
	LEAQ	Table_own(R12), SI
	XORL	DX, DX
	MOVL	$8, R10
	MOVL	$14, AX
	SYSCALL
	RET

child:
	MOVQ	Table_PID(R12), DI
	TESTQ	DI, DI
	JZ	calls
	MOVL	$39, AX // getpid
	SYSCALL
	LEAQ	(const_PIDRoom-1)(DI), SI
	MOVL	$10, CX
digit: // backwards, before the 0 at the end
	XORL	DX, DX
	DIVL	CX
	ADDL	$48, DX
	DECQ	SI
	MOVB	DX, 0(SI)
	TESTL	AX, AX
	JNZ	digit
move: // with the 0
	MOVBLZX	0(SI), DX
	MOVB	DX, 0(DI)
	INCQ	SI
	INCQ	DI
	TESTL	DX, DX
	JNZ	move
calls:
	MOVQ	Table_Calls(R12), R13
	XORL	R8, R8
next:
	CMPQ	R8, (Table_Calls+8)(R12)
	JEQ	exit
	INCQ	R8
	MOVQ	(Call_Args+0)(R13), DI
	MOVQ	(Call_Args+8)(R13), SI
	MOVQ	(Call_Args+16)(R13), DX
	MOVQ	(Call_Args+24)(R13), R10
	MOVQ	Call_Number(R13), AX
	SYSCALL
	ADDQ	$Call__size, R13
	CMPQ	AX, $0xfffffffffffff001
	JCS	next
	NEGQ	AX
	MOVQ	AX, Table_errno(R12)
	MOVQ	R8, Table_failed(R12)
exit:
	MOVL	$255, DI
	MOVL	$231, AX // exit_group
	SYSCALL
	JMP	exit

// func getLimit(limit *[2]uint64)
TEXT ·getLimit(SB), NOSPLIT|NOFRAME, $0-8
	XORL	DI, DI
	MOVL	$7, SI // RLIMIT_NOFILE
	XORL	DX, DX
	MOVQ	limit+0(FP), R10
	MOVL	$302, AX // prlimit64
	SYSCALL
	RET
