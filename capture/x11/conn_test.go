package x11

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
)

func TestParseDisplay(t *testing.T) {
	for name, want := range map[string]displayName{
		":0":              {network: "unix", address: "/tmp/.X11-unix/X0"},
		":12.3":           {network: "unix", address: "/tmp/.X11-unix/X12", number: 12, screen: 3},
		"unix:1":          {network: "unix", address: "/tmp/.X11-unix/X1", number: 1},
		"host:2":          {network: "tcp", host: "host", address: "host:6002", number: 2},
		"tcp/host:2.1":    {network: "tcp", host: "host", address: "host:6002", number: 2, screen: 1},
		"[::1]:3":         {network: "tcp", host: "::1", address: "[::1]:6003", number: 3},
		"/run/x.sock":     {network: "unix", address: "/run/x.sock"},
		"/run/launchd/:4": {network: "unix", address: "/run/launchd/:4", number: 4},
	} {
		want.full = name
		if got, err := parseDisplay(name); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "0", ":", ":x", ":-1", ":0.", ":0.x", ":70000", "tcp/:0", "host:"} {
		if got, err := parseDisplay(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got %+v, %v; want an error that names it", name, got, err)
		}
	}
}

// greeting is a server's answer to a new connection.
func greeting(depth, bitsPerPixel byte, red, green, blue uint32, order byte) []byte {
	b := make([]byte, 40)
	b[0] = 1
	le.PutUint16(b[2:], 11)
	le.PutUint32(b[8:], 7)
	le.PutUint32(b[12:], 0x200000)
	le.PutUint32(b[16:], 0x1fffff)
	le.PutUint16(b[24:], 3)
	b[28], b[29], b[30] = 1, 2, order
	b = append(b, "Us!\x00"...)
	b = append(b, 1, 1, 32, 0, 0, 0, 0, 0)
	b = append(b, depth, bitsPerPixel, 32, 0, 0, 0, 0, 0)
	screen := make([]byte, 40)
	le.PutUint32(screen, 99)
	le.PutUint16(screen[20:], 640)
	le.PutUint16(screen[22:], 480)
	le.PutUint32(screen[32:], 33)
	screen[38], screen[39] = depth, 1
	b = append(b, screen...)
	b = append(b, depth, 0, 1, 0, 0, 0, 0, 0)
	visual := make([]byte, 24)
	le.PutUint32(visual, 33)
	le.PutUint32(visual[8:], red)
	le.PutUint32(visual[12:], green)
	le.PutUint32(visual[16:], blue)
	b = append(b, visual...)
	le.PutUint16(b[6:], uint16(len(b)/4-2))
	return b
}

func TestParseSetup(t *testing.T) {
	b := greeting(24, 32, 0xff0000, 0xff00, 0xff, 0)
	s, err := parseSetup(b)
	if err != nil {
		t.Fatal(err)
	}
	if s.vendor != "Us!" || s.release != 7 || s.idBase != 0x200000 || s.idMask != 0x1fffff || len(s.screens) != 1 {
		t.Fatalf("got %+v", s)
	}
	want := screen{root: 99, width: 640, height: 480, depth: 24, red: 0xff0000, green: 0xff00, blue: 0xff}
	if s.screens[0] != want {
		t.Errorf("got %+v; want %+v", s.screens[0], want)
	}
	for n := range b {
		if _, err := parseSetup(b[:n]); err == nil {
			t.Errorf("%d bytes of %d are enough", n, len(b))
		}
	}
}

func TestFormatsThatAreUnderstood(t *testing.T) {
	for name, tt := range map[string]struct {
		greeting []byte
		want     string // in the error; empty for none
	}{
		"depth 24":       {greeting(24, 32, 0xff0000, 0xff00, 0xff, 0), ""},
		"depth 32":       {greeting(32, 32, 0xff0000, 0xff00, 0xff, 0), ""},
		"depth 30":       {greeting(30, 32, 0x3ff00000, 0xffc00, 0x3ff, 0), ""},
		"depth 16":       {greeting(16, 16, 0xf800, 0x7e0, 0x1f, 0), ""},
		"depth 15":       {greeting(15, 16, 0x7c00, 0x3e0, 0x1f, 0), ""},
		"red and blue":   {greeting(24, 32, 0xff, 0xff00, 0xff0000, 0), ""},
		"packed pixels":  {greeting(24, 24, 0xff0000, 0xff00, 0xff, 0), "24 bits a pixel"},
		"a palette":      {greeting(8, 8, 0, 0, 0, 0), "depth 8"},
		"wide palette":   {greeting(16, 16, 0, 0, 0, 0), "depth 16"},
		"overlap":        {greeting(24, 32, 0xff0000, 0x1ff00, 0xff, 0), "0x1ff00"},
		"holes":          {greeting(24, 32, 0xf0f000, 0xf00, 0xff, 0), "0xf0f000"},
		"beyond a pixel": {greeting(16, 16, 0xff0000, 0xff00, 0xff, 0), "16 bits a pixel"},
		"big-endian":     {greeting(24, 32, 0xff0000, 0xff00, 0xff, 1), "big-endian"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parseSetup(tt.greeting)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.pixelsOf(s.screens[0])
			if tt.want == "" && err != nil {
				t.Errorf("got %v", err)
			}
			if tt.want != "" && (!errors.Is(err, capture.ErrUnsupported) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v; want ErrUnsupported that says %q", err, tt.want)
			}
		})
	}
}

func FuzzParseSetup(f *testing.F) {
	f.Add(greeting(24, 32, 0xff0000, 0xff00, 0xff, 0))
	f.Add(greeting(16, 16, 0xf800, 0xff00, 0xff, 1)[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSetup(b)
		if err != nil {
			return
		}
		if n := len(s.vendor) + 8*len(s.formats) + 40*len(s.screens); n > len(b) {
			t.Errorf("got %d bytes of setup from %d", n, len(b))
		}
		for _, sc := range s.screens {
			_, _ = s.pixelsOf(sc)
		}
	})
}

func FuzzParseReplies(f *testing.F) {
	f.Add(append(make([]byte, 32), 3, 'a', 'b', 'c', 200))
	f.Add(append(make([]byte, 32), 1, 0, 2, 0, 3, 0, 4, 0))
	f.Add(cursorReply(3, 4, 1, 2, 0x80402010))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 32 {
			return // the connection never hands less over
		}
		bounds := image.Rect(0, 0, 50, 40)
		for _, r := range parseRegion(nil, b, bounds) {
			if r.Empty() || !r.In(bounds) {
				t.Errorf("got damage %v", r)
			}
		}
		for _, n := range parseNames(b[32:], int(b[1])) {
			if len(n) > 255 {
				t.Errorf("got a name of %d bytes", len(n))
			}
		}
		var p cursor
		p.shape(b)
		p.place(image.Pt(20, 20), true, time.Now())
		p.draw(make([]byte, 50*40*4), 200, bounds)
	})
}

func TestParseRegion(t *testing.T) {
	region := func(n int) []byte {
		b := make([]byte, 32)
		copy(b[8:], []byte{5, 0, 6, 0, 200, 0, 3, 0})
		for range n {
			b = append(b, 0xfe, 0xff, 1, 0, 10, 0, 2, 0) // at -2,1
		}
		return b
	}
	bounds := image.Rect(0, 0, 100, 50)
	if got, want := parseRegion(
		nil, region(2), bounds,
	), []image.Rectangle{
		image.Rect(0, 1, 8, 3), image.Rect(0, 1, 8, 3),
	}; !slices.Equal(
		got, want,
	) {
		t.Errorf("got %v; want %v", got, want)
	}
	if got, want := parseRegion(
		nil, region(17), bounds,
	), []image.Rectangle{
		image.Rect(5, 6, 100, 9),
	}; !slices.Equal(
		got, want,
	) {
		t.Errorf("got %v; want the extents %v", got, want)
	}
}

// pipe connects a conn to a peer that the test plays the server with.
func pipe(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	return newConn(here, displayName{}, setup{idMask: 0xffff}), there
}

func reply(seq uint16, body ...byte) []byte {
	b := make([]byte, 32, 32+len(body))
	b[0] = kindReply
	le.PutUint16(b[2:], seq)
	le.PutUint32(b[4:], uint32(len(body)/4))
	return append(b, body...)
}

// play reads one request and answers with chunks, each its own write.
func play(t *testing.T, peer net.Conn, chunks ...[]byte) chan struct{} {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := peer.Read(make([]byte, 1024)); err != nil {
			t.Errorf("read a request: %v", err)
		}
		for _, c := range chunks {
			if _, err := peer.Write(c); err != nil {
				t.Errorf("answer: %v", err)
			}
		}
	}()
	return done
}

func TestRepliesAreFoundAmongEventsInPieces(t *testing.T) {
	c, peer := pipe(t)
	var events []byte
	c.onEvent = func(b []byte) { events = append(events, b[0], byte(len(b))) }
	generic := reply(1, 1, 2, 3, 4, 5, 6, 7, 8)
	generic[0] = kindGeneric
	event := make([]byte, 32)
	event[0] = 91 | 0x80
	stray := reply(77, bytes.Repeat([]byte{9}, 100_000)...)
	want := bytes.Repeat([]byte{7}, 70_000)
	stream := slices.Concat(event, stray, generic, reply(1, want...), event)
	var chunks [][]byte
	for len(stream) > 0 {
		n := min(len(stream), 1+len(chunks)*977)
		chunks = append(chunks, stream[:n])
		stream = stream[n:]
	}
	done := play(t, peer, chunks...)
	got, err := c.await(t.Context(), c.send(opGetInputFocus, 0))
	if err != nil || !bytes.Equal(got[32:], want) {
		t.Fatalf("got %d bytes, %v; want the reply of %d", len(got), err, len(want))
	}
	if err := c.wait(time.Time{}); err != nil {
		t.Fatal(err)
	}
	<-done
	if want := []byte{91 | 0x80, 32, kindGeneric, 40, 91 | 0x80, 32}; !bytes.Equal(events, want) {
		t.Errorf("got events %v; want %v", events, want)
	}
}

func TestErrorOfARequestWithoutReply(t *testing.T) {
	c, peer := pipe(t)
	bad := make([]byte, 32)
	bad[1], bad[2], bad[8], bad[10] = 10, 1, 1, 130
	done := play(t, peer, bad, reply(2))
	err := c.check(t.Context(), c.send(130, shmAttach))
	<-done
	var refused requestError
	if !errors.As(err, &refused) || err.Error() != "X request 130.1: BadAccess" {
		t.Errorf("got %v; want BadAccess", err)
	}
}

// A wait that a context ends in the middle of a long reply leaves the connection usable.
func TestReplyCutShortByItsContext(t *testing.T) {
	c, peer := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer context.AfterFunc(ctx, c.wake)()
	long := reply(1, bytes.Repeat([]byte{1}, 200_000)...)
	done := play(t, peer, long[:90_000])
	body, err := c.awaitHead(ctx, c.send(opGetImage, 0))
	if err != nil || body != 200_000 {
		t.Fatalf("got %d, %v; want 200000 bytes", body, err)
	}
	c.r += 32
	go func() { <-done; cancel() }()
	dst := make([]byte, 200_000)
	if err := c.rows(ctx, dst, 1000, 1000, 200); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v; want context.Canceled", err)
	}
	done = play(t, peer, long[90_000:], reply(2, 4, 3, 2, 1))
	got, err := c.await(t.Context(), c.send(opGetInputFocus, 0))
	<-done
	if err != nil || !bytes.Equal(got[32:], []byte{4, 3, 2, 1}) {
		t.Errorf("got %v, %v; want the second reply", got, err)
	}
}

func TestWakeAndDeadline(t *testing.T) {
	c, peer := pipe(t)
	c.wake()
	if err := c.wait(time.Time{}); !errors.Is(err, errWoken) {
		t.Errorf("woken before: got %v; want errWoken", err)
	}
	if err := c.wait(time.Now().Add(time.Millisecond)); !errors.Is(err, errTimeout) {
		t.Errorf("deadline: got %v; want errTimeout", err)
	}
	go c.wake()
	if err := c.wait(time.Time{}); !errors.Is(err, errWoken) {
		t.Errorf("woken meanwhile: got %v; want errWoken", err)
	}
	peer.Close()
	var loss lossError
	if err := c.wait(time.Time{}); !errors.As(err, &loss) {
		t.Errorf("gone: got %v; want a loss", err)
	}
}

// overdue is a context whose deadline has passed once done is closed. With a real deadline, connecting might be late on
// a busy machine.
type overdue struct {
	context.Context //nolint:containedctx // this is a context
	done            chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.done }

func (o overdue) Err() error {
	select {
	case <-o.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	path := t.TempDir() + "/server"
	if _, err := Probe(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "no X server is listening") {
		t.Errorf("got %v; want that nothing listens", err)
	}
	if _, err := Probe(
		t.Context(), "nonsense", nil,
	); err == nil ||
		!strings.Contains(err.Error(), `"nonsense" has no colon`) {
		t.Errorf("got %v; want what is wrong with the name", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	answers := make(chan []byte, 1)
	late := overdue{t.Context(), make(chan struct{})}
	served := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-served })
	go func() {
		defer close(served)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if b := <-answers; b != nil {
				_, _ = nc.Write(b)
			} else if _, err := nc.Read(make([]byte, 1)); err == nil {
				close(late.done)
			}
			// Until the client goes.
			_, _ = io.Copy(io.Discard, nc)
			nc.Close()
		}
	}()
	refusal := slices.Concat([]byte{0, 10, 11, 0, 0, 0, 3, 0}, []byte("Go away!!!\x00\x00"))
	for want, answer := range map[string][]byte{
		"Go away!!!":         refusal,
		"more proof":         slices.Concat([]byte{2, 0, 0, 0, 0, 0, 3, 0}, []byte("more proof\x00\x00")),
		"not an X11 server":  []byte("\x09HTTP/1.1 400"),
		"is cut short":       slices.Concat([]byte{1, 0, 11, 0, 0, 0, 1, 0}, make([]byte, 4)),
		"no authority file ": refusal,
		"-maxclients": slices.Concat([]byte{0, 33, 11, 0, 0, 0, 9, 0},
			[]byte("Maximum number of clients reached\x00\x00\x00")),
	} {
		answers <- answer
		if _, err := Probe(
			t.Context(), path, nil,
		); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("got %v; want it to name %s and say %q", err, path, want)
		}
	}
	answers <- nil
	if _, err := Probe(
		late, path, nil,
	); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v; want that the server does not answer", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, d := range []time.Duration{-1, time.Microsecond, time.Minute} {
		if _, err := New(
			context.Background(), Config{PointerInterval: d}, nil,
		); err == nil ||
			!strings.Contains(err.Error(), d.String()) {
			t.Errorf("pointer interval %v: got %v; want an error that names it", d, err)
		}
	}
	c, err := Config{}.withDefaults()
	if err != nil || c.Display != ":0" || c.PointerInterval != 16*time.Millisecond {
		t.Errorf("got %+v, %v", c, err)
	}
}
