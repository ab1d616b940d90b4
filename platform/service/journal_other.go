//go:build !linux

package service

import "os"

// Journal returns an empty string: only Linux has journald.
func Journal([]string, *os.File) string { return "" }
