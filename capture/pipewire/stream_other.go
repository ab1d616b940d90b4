//go:build !linux || !cgo

package pipewire

import (
	"fmt"

	"wavryhost/capture"
)

const libraryName = ""

var errBuild = fmt.Errorf("%w: PipeWire is used on linux only, by builds with cgo", capture.ErrUnsupported)

func load(string) error { return errBuild }

func version() string { return "" }

func openStream(int, uint32, string, int, func()) (pipe, error) { return nil, errBuild }

func unmap(*picture) {}
