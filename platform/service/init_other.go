//go:build !linux && !darwin

package service

// defaultInit is none: NewManager returns ErrUnsupported.
const defaultInit Init = ""
