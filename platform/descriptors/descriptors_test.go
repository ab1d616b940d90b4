//go:build unix

package descriptors

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// pair returns the two ends of a connection that keeps the boundaries of messages.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		var ok bool
		if ends[i], ok = c.(*net.UnixConn); !ok {
			t.Fatal("no Unix socket")
		}
	}
	return ends[0], ends[1]
}

func TestFilesArePassed(t *testing.T) {
	a, b := pair(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Send(a, []byte("hello"), []int{int(file.Fd()), int(file.Fd())}); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	buf := make([]byte, 10)
	n, files, err := Receive(b, buf, 2, "passed")
	if err != nil || string(buf[:n]) != "hello" || len(files) != 2 || files[0].Name() != "passed" {
		t.Fatalf("got %q, %v, %v", buf[:n], files, err)
	}
	defer Close(files)
	content := make([]byte, 7)
	if _, err := files[1].ReadAt(content, 0); err != nil || string(content) != "content" {
		t.Errorf("got %q, %v", content, err)
	}
	if err := Send(a, []byte("alone"), nil); err != nil {
		t.Fatal(err)
	}
	if n, files, err := Receive(b, buf, 2, "passed"); err != nil || string(buf[:n]) != "alone" || len(files) != 0 {
		t.Errorf("got %q, %v, %v; want no file", buf[:n], files, err)
	}
}

func TestMessagesThatAreTooLarge(t *testing.T) {
	a, b := pair(t)
	if err := Send(a, []byte("x"), []int{0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, files, err := Receive(b, make([]byte, 10), 2, "passed"); !errors.Is(err, ErrTooMany) || files != nil {
		t.Errorf("got %v, %v; want %v", files, err, ErrTooMany)
	}
	if err := Send(a, make([]byte, 11), []int{0}); err != nil {
		t.Fatal(err)
	}
	if _, files, err := Receive(b, make([]byte, 10), 2, "passed"); err == nil || files != nil {
		t.Errorf("got %v, %v; want an error", files, err)
	}
}
