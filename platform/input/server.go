package input

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Requests and values of the X protocol, version 11, and of its extension XTEST, version 2.2.
const (
	opGetGeometry    = 14
	opWarpPointer    = 41
	opQueryExtension = 98

	xtestFakeInput   = 2
	xtestGrabControl = 3

	eventKeyPress, eventKeyRelease       = 2, 3
	eventButtonPress, eventButtonRelease = 4, 5
	eventMotion                          = 6

	wheelUp, wheelDown, wheelLeft, wheelRight = 4, 5, 6, 7

	// keyOffset is the difference between X keycodes and Linux codes (xkeyboard-config's keycodes/evdev). A keycode has 8
	// bits.
	keyOffset = 8
	maxKey    = 255 - keyOffset

	// maxReply bounds skipped replies. No reply to a request of this package has a body.
	maxReply = 1 << 20
	// freshFor is the time for which the screen's size is not queried again.
	freshFor = 250 * time.Millisecond
	// endTimeout bounds the wait for the server's answer once the Injector ends.
	endTimeout = 2 * time.Second
)

var (
	le         = binary.LittleEndian
	errTimeout = errors.New("input: the X server does not answer")
	errClosed  = errors.New("input: the X server has closed the connection")
)

// server is a connection to an X server. One goroutine uses it, except for the reading.
type server struct {
	nc      net.Conn
	out     *bufio.Writer
	timeout time.Duration
	ending  <-chan struct{} // closed when little time is left
	screen  Screen
	asked   time.Time // when the size was reported
	x, y    uint16    // where the pointer was moved last
	xtest   byte      // the opcode of the extension

	replies chan [32]byte // capacity 1: at most one question is open
	errors  atomic.Int64  // that the server sent
	dead    chan struct{} // closed when the reader has ended
}

// newServer takes over a greeted connection and queries XTEST. It owns nc even when it fails.
func newServer(nc net.Conn, screen Screen, timeout time.Duration, ending <-chan struct{}) (_ *server, err error) {
	s := &server{
		nc: nc, out: bufio.NewWriterSize(nc, 16<<10), timeout: timeout, ending: ending, screen: screen,
		replies: make(chan [32]byte, 1), dead: make(chan struct{}),
	}
	go s.read() // unguarded: it reads fields of fixed size
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	const name = "XTEST"
	s.request(opQueryExtension, 0, []byte{byte(len(name)), 0, 0, 0, 'X', 'T', 'E', 'S', 'T', 0, 0, 0})
	reply, err := s.ask()
	if err != nil {
		return nil, err
	}
	if reply[8] == 0 {
		return nil, errNoXTEST
	}
	s.xtest = reply[9]
	// A client that has grabbed the server, such as a menu or a screen locker, must not make it look as if it hung.
	s.request(s.xtest, xtestGrabControl, []byte{1, 0, 0, 0})
	return s, s.flush()
}

// read passes replies on until the connection ends.
func (s *server) read() {
	defer close(s.dead)
	in := bufio.NewReader(s.nc)
	for {
		var b [32]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return
		}
		const (
			kindError, kindReply, kindGeneric = 0, 1, 35
		)
		switch b[0] & 0x7f {
		case kindError:
			s.errors.Add(1)
			continue
		case kindReply, kindGeneric:
			n := 4 * int64(le.Uint32(b[4:]))
			if n > maxReply {
				return
			}
			if _, err := io.CopyN(io.Discard, in, n); err != nil {
				return
			}
		}
		if b[0] == kindReply {
			select {
			case s.replies <- b:
			default:
				return // an unexpected answer: this is not an X server
			}
		}
	}
}

func (s *server) close() {
	s.nc.Close()
	<-s.dead
}

// request queues a request. ask returns errors of the writer. The length of args is a multiple of four bytes.
func (s *server) request(op, minor byte, args []byte) {
	head := []byte{op, minor, 0, 0}
	le.PutUint16(head[2:], uint16(1+len(args)/4))
	_, _ = s.out.Write(head)
	_, _ = s.out.Write(args)
}

// ask sends the queued requests, the last of which has a reply, and returns that reply.
func (s *server) ask() ([32]byte, error) {
	var none [32]byte
	if err := s.nc.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return none, fmt.Errorf("input: send to the X server: %w", err)
	}
	if err := s.out.Flush(); err != nil {
		return none, fmt.Errorf("input: send to the X server: %w", err)
	}
	timeout := time.NewTimer(s.timeout)
	defer timeout.Stop()
	for ending := s.ending; ; {
		select {
		case reply := <-s.replies:
			return reply, nil
		case <-s.dead:
			return none, errClosed
		case <-timeout.C:
			return none, errTimeout
		case <-ending:
			ending = nil
			timeout.Reset(min(s.timeout, endTimeout))
		}
	}
}

// flush sends the queued requests and waits until the server has executed them. The reply has the screen's size.
func (s *server) flush() error {
	s.request(opGetGeometry, 0, le.AppendUint32(nil, s.screen.Root))
	reply, err := s.ask()
	if err != nil {
		return err
	}
	s.asked = time.Now()
	if w, h := int(le.Uint16(reply[16:])), int(le.Uint16(reply[18:])); w > 0 && h > 0 {
		s.screen.Width, s.screen.Height = w, h
	}
	return nil
}

// current makes sure that the screen's size is up to date.
func (s *server) current() error {
	if time.Since(s.asked) < freshFor {
		return nil
	}
	return s.flush()
}

// refused returns the number of requests that the server has refused since the last call.
func (s *server) refused() int { return int(s.errors.Swap(0)) }

// move queues a movement of the pointer to its new position.
func (s *server) move(x, y float64) {
	s.x, s.y = pixel(x, s.screen.Width), pixel(y, s.screen.Height)
	if s.screen.Several {
		s.warp()
		return
	}
	s.event(eventMotion, 0, s.x, s.y)
}

// warp queues a jump of the pointer to its position. It is for servers with several screens, which ignore the screen of
// XTEST's motion: the pointer would stay on its current screen.
func (s *server) warp() {
	args := make([]byte, 20)
	le.PutUint32(args[4:], s.screen.Root)
	le.PutUint16(args[16:], s.x)
	le.PutUint16(args[18:], s.y)
	s.request(opWarpPointer, 0, args)
}

// pixel converts a fraction of a number of pixels to a pixel.
func pixel(f float64, n int) uint16 {
	return uint16(max(0, min(n-1, int(f*float64(n)))))
}

// fake queues a button or key.
func (s *server) fake(k kind, code byte, pressed bool) {
	event := byte(eventKeyPress)
	if k == button {
		event = eventButtonPress
	}
	if s.screen.Several && pressed {
		s.warp() // a viewer of another screen may have moved it there
	}
	if !pressed {
		event++
	}
	s.event(event, code, 0, 0)
}

// turn queues notches of the wheel, which are presses of a button.
func (s *server) turn(notches float64, positive, negative byte) {
	wheel := positive
	if notches < 0 {
		wheel, notches = negative, -notches
	}
	if s.screen.Several && notches >= 1 {
		s.warp()
	}
	for range int(notches) {
		s.event(eventButtonPress, wheel, 0, 0)
		s.event(eventButtonRelease, wheel, 0, 0)
	}
}

// event queues XTestFakeInput.
func (s *server) event(event, detail byte, x, y uint16) {
	args := make([]byte, 32)
	args[0], args[1] = event, detail
	if event == eventMotion {
		le.PutUint32(args[8:], s.screen.Root)
	}
	le.PutUint16(args[20:], x)
	le.PutUint16(args[22:], y)
	s.request(s.xtest, xtestFakeInput, args)
}
