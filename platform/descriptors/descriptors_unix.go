//go:build unix

package descriptors

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Send sends bytes, with descriptors.
func Send(to *net.UnixConn, b []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = syscall.UnixRights(fds...)
	}
	_, _, err := to.WriteMsgUnix(b, oob, nil)
	return err
}

// Receive reads into b, and returns the files that come with these bytes, which the caller must close. They have a name
// for messages. More than most files, or bytes than b has room for in one message, are an error.
func Receive(from *net.UnixConn, b []byte, most int, name string) (n int, files []*os.File, err error) {
	oob := make([]byte, syscall.CmsgSpace(4*most))
	n, used, flags, _, err := from.ReadMsgUnix(b, oob)
	if err != nil {
		return 0, nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:used])
	if err != nil {
		return 0, nil, fmt.Errorf("descriptors: %w", err)
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			continue // it has no files
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), name))
		}
	}
	switch {
	case flags&syscall.MSG_CTRUNC != 0 || len(files) > most:
		err = ErrTooMany
	case flags&syscall.MSG_TRUNC != 0:
		err = errors.New("descriptors: the message is too long")
	}
	if err != nil {
		Close(files)
		return 0, nil, err
	}
	return n, files, nil
}

// Close closes files.
func Close(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
