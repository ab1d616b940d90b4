package xproto

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"wavryhost/platform/xproto/xprototest"
)

// pipe connects a Conn to a peer that the test plays the server with.
func pipe(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	return newConn(here), there
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
	c.OnEvent = func(b []byte) { events = append(events, b[0], byte(len(b))) }
	generic := reply(1, 1, 2, 3, 4, 5, 6, 7, 8)
	generic[0] = KindGeneric
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
	got, err := c.Await(t.Context(), c.Send(opGetInputFocus, 0))
	if err != nil || !bytes.Equal(got[32:], want) {
		t.Fatalf("got %d bytes, %v; want the reply of %d", len(got), err, len(want))
	}
	if err := c.Wait(time.Time{}); err != nil {
		t.Fatal(err)
	}
	<-done
	if want := []byte{91 | 0x80, 32, KindGeneric, 40, 91 | 0x80, 32}; !bytes.Equal(events, want) {
		t.Errorf("got events %v; want %v", events, want)
	}
}

func TestErrorOfARequestWithoutReply(t *testing.T) {
	c, peer := pipe(t)
	bad := make([]byte, 32)
	bad[1], bad[2], bad[8], bad[10] = 10, 1, 1, 130
	done := play(t, peer, bad, reply(2))
	err := c.Check(t.Context(), c.Send(130, 1))
	<-done
	var refused RequestError
	if !errors.As(err, &refused) || err.Error() != "X request 130.1: BadAccess" {
		t.Errorf("got %v; want BadAccess", err)
	}
}

// A wait that a context ends in the middle of a long reply leaves the connection usable.
func TestReplyCutShortByItsContext(t *testing.T) {
	c, peer := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer context.AfterFunc(ctx, c.Wake)()
	long := reply(1, bytes.Repeat([]byte{1}, 200_000)...)
	done := play(t, peer, long[:90_000])
	go func() { <-done; cancel() }()
	dst := make([]byte, 200_000)
	if err := c.AwaitRows(ctx, c.Send(73, 0), dst, 1000, 1000, 200); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v; want context.Canceled", err)
	}
	done = play(t, peer, long[90_000:], reply(2, 4, 3, 2, 1))
	got, err := c.Await(t.Context(), c.Send(opGetInputFocus, 0))
	<-done
	if err != nil || !bytes.Equal(got[32:], []byte{4, 3, 2, 1}) {
		t.Errorf("got %v, %v; want the second reply", got, err)
	}
}

func TestWakeAndDeadline(t *testing.T) {
	c, peer := pipe(t)
	c.Wake()
	if err := c.Wait(time.Time{}); !errors.Is(err, ErrWoken) {
		t.Errorf("woken before: got %v; want ErrWoken", err)
	}
	if err := c.Wait(time.Now().Add(time.Millisecond)); !errors.Is(err, ErrTimeout) {
		t.Errorf("deadline: got %v; want ErrTimeout", err)
	}
	go c.Wake()
	if err := c.Wait(time.Time{}); !errors.Is(err, ErrWoken) {
		t.Errorf("woken meanwhile: got %v; want ErrWoken", err)
	}
	peer.Close()
	var loss LostError
	if err := c.Wait(time.Time{}); !errors.As(err, &loss) {
		t.Errorf("gone: got %v; want a loss", err)
	}
}

func TestRequestsDoNotAllocate(t *testing.T) {
	const runs = 1000
	var sent []byte
	for seq := range uint16(runs + 2) {
		sent = append(sent, reply(seq+1, 1, 2, 3, 4)...)
	}
	c, ctx := newConn(xprototest.Script(sent)), t.Context()
	n := testing.AllocsPerRun(runs, func() {
		if _, err := c.Await(ctx, c.Send(38, 0, 1, 2, 3)); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for a request and its reply", n)
	}
}
