//go:build !linux

package pipewire

func duplicate(int) (int, error) { return -1, errBuild }
