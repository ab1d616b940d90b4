//go:build !linux

package input

import "errors"

func memoryFile(string) (fd int, err error) {
	return -1, errors.New("input: files in memory need Linux")
}

func closeFile(int) {}
