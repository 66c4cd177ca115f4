#include "textflag.h"
#include "go_asm.h"

// The program of relay_linux.go: on its stack are argc, arguments, 0, environment.
TEXT relayText<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$172, R8 // getpid
	SVC
	MOVD	0(RSP), R1
	ADD	$16, RSP, R9 // arguments of the program
	ADD	R1<<3, R9, R10 // environment
	MOVD	0(R10), R11
	MOVD	0(R11), R12 // LISTEN_P
	MOVD	3(R11), R13 // TEN_PID=
	MOVBU	11(R11), R14
	MOVBU	12(R11), R15
	AND	$0x7f, R14
	AND	$0x7f, R15
	ORR	R15<<7, R14, R14 // descriptor of the report
	ADD	$21, R11
	MOVD	$10, R1
digit:
	UDIV	R1, R0, R2
	MSUB	R1, R0, R2, R3
	ADD	$48, R3
	SUB	$1, R11
	MOVB	R3, 0(R11)
	MOVD	R2, R0
	CBNZ	R0, digit
	SUB	$11, R11
	MOVD	R12, 0(R11)
	MOVD	R13, 3(R11)
	MOVD	R11, 0(R10)
	MOVD	R14, R0
	MOVD	$2, R1 // F_SETFD
	MOVD	$1, R2 // FD_CLOEXEC
	MOVD	$25, R8 // fcntl
	SVC
	MOVD	8(RSP), R0
	MOVD	R9, R1
	MOVD	R10, R2
	MOVD	$221, R8 // execve
	SVC
	NEG	R0, R0
	LSL	$24, R0
	MOVD	$const_StepExecute, R1
	ORR	R1, R0
	SUB	$16, RSP
	MOVD	R0, 0(RSP)
	MOVD	R14, R0
	MOVD	RSP, R1
	MOVD	$const_reportHead, R2
	MOVD	$64, R8 // write
	SVC
	MOVD	$255, R0
	MOVD	$94, R8 // exit_group
	SVC
	UNDEF

GLOBL ·relayCode(SB), RODATA, $8
DATA ·relayCode(SB)/8, $relayText<>(SB)
