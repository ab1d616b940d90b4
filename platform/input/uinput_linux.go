package input

import (
	"os"

	"golang.org/x/sys/unix"
)

// uinputNode is the kernel's.
type uinputNode struct{ *os.File }

func openUInput() (node, error) {
	f, err := os.OpenFile("/dev/uinput", os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return uinputNode{f}, nil
}

func (n uinputNode) control(request uint, value int) error {
	return os.NewSyscallError("ioctl", unix.IoctlSetInt(int(n.Fd()), request, value))
}
