//go:build linux

package bombs

import "unsafe"

func pointer(p *uintptr) uintptr { return uintptr(unsafe.Pointer(p)) }
