package display

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// setup is what an X server says after it let a client in, less the first eight bytes.
func setup(depth byte) []byte {
	b := make([]byte, 32)
	binary.LittleEndian.PutUint32(b[4:], 0x200000)
	binary.LittleEndian.PutUint16(b[16:], 6)
	b[20], b[21] = 1, 2
	b = append(b, "vendor\x00\x00"...)
	b = append(b, 1, 1, 32, 0, 0, 0, 0, 0, depth, 32, 32, 0, 0, 0, 0, 0)
	screen := make([]byte, 40)
	binary.LittleEndian.PutUint32(screen, 0x123)
	binary.LittleEndian.PutUint16(screen[20:], 640)
	binary.LittleEndian.PutUint16(screen[22:], 480)
	screen[38] = depth
	return append(b, screen...)
}

// serve answers one client with raw bytes, and returns what the client sent first.
func serve(t *testing.T, answer []byte) (socket string, hello chan []byte) {
	t.Helper()
	socket, hello = filepath.Join(t.TempDir(), "X9"), make(chan []byte, 1)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		b := make([]byte, 12+20+16)
		_, _ = io.ReadFull(conn, b)
		_, _ = conn.Write(answer)
		hello <- b
	}()
	return socket, hello
}

func answer(status, reason byte, body []byte) []byte {
	head := []byte{status, reason, 11, 0, 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(head[6:], uint16(len(body)/4))
	return append(head, body...)
}

func TestClientConnects(t *testing.T) {
	cookie := []byte("0123456789abcdef")
	socket, hello := serve(t, answer(1, 0, setup(24)))
	c, err := dialX(t.Context(), socket, cookie)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	if c.root != 0x123 || c.width != 640 || c.height != 480 || c.depth != 24 || c.id() != 0x200001 {
		t.Errorf("the client read %+v", c)
	}
	if b := <-hello; !bytes.Equal(b[12:], append([]byte("MIT-MAGIC-COOKIE-1\x00\x00"), cookie...)) {
		t.Errorf("the server got %q; want the cookie", b)
	}
}

func TestClientIsRefused(t *testing.T) {
	for name, one := range map[string]struct {
		answer []byte
		want   string
	}{
		"wrong cookie":   {answer(0, 10, []byte("No cookie!\x00\x00")), `refused by the X server: "No cookie!"`},
		"eight bits":     {answer(1, 0, setup(8)), errPixels.Error()},
		"nothing of use": {answer(1, 0, setup(24)[:60]), errSetup.Error()},
		"hangs up":       {[]byte{1, 0}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			socket, _ := serve(t, one.answer)
			if _, err := dialX(t.Context(), socket, newCookie()); err == nil || !strings.Contains(err.Error(), one.want) {
				t.Errorf("dialX: %v; want %q in it", err, one.want)
			}
		})
	}
	if _, err := dialX(t.Context(), filepath.Join(t.TempDir(), "X1"), newCookie()); err == nil {
		t.Error("dialX without a server succeeds")
	}
}

func FuzzSetup(f *testing.F) {
	f.Add(setup(24))
	f.Add(setup(8)[:70])
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = (&client{}).readSetup(b)
	})
}
