#include "textflag.h"

// A signal handler that does nothing, for amd64 and arm64 alike.
TEXT ·nothing(SB), NOSPLIT|NOFRAME, $0
	RET

DATA ·nothingPC+0(SB)/8, $·nothing(SB)
GLOBL ·nothingPC(SB), RODATA, $8
