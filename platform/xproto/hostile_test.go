package xproto

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/platform/xproto/xprototest"
)

// Whatever a server sends, each call ends. The last one reports the end of the connection.
func FuzzServer(f *testing.F) {
	hello := xprototest.Greeting(xprototest.Usual)
	f.Add([]byte{}, true)
	f.Add(bytes.Repeat([]byte{0xff}, 100), true)
	f.Add(bytes.Repeat([]byte{1, 0, 1, 0, 0, 0, 0, 0}, 100), true)
	f.Add(append(reply(1, 1, 2, 3, 4), reply(2, bytes.Repeat([]byte{200, 'x'}, 100)...)...), true)
	f.Add(hello, false)
	f.Add(hello[:50], false)
	f.Fuzz(func(t *testing.T, b []byte, greeted bool) {
		if greeted {
			b = append(bytes.Clone(hello), b...)
		}
		ctx := context.Background()
		c, err := Handshake(ctx, xprototest.Script(b), "cookie", 0)
		if err != nil {
			return
		}
		c.OnEvent = func(e []byte) {
			if len(e) < 32 || Kind(e) <= kindReply {
				t.Errorf("got %v as an event", e)
			}
		}
		_, _ = c.QueryExtension(ctx, "XTEST")
		names, _ := c.ListExtensions(ctx)
		for _, name := range names {
			if len(name) > 255 {
				t.Errorf("got a name of %d bytes", len(name))
			}
		}
		_, _, _ = c.Geometry(ctx, 1)
		_ = c.Check(ctx, c.Send(1, 2, 3))
		_ = c.AwaitRows(ctx, c.Send(73, 0), make([]byte, 40), 10, 8, 4)
		for {
			if err = c.Wait(time.Time{}); err != nil {
				break
			}
		}
		if _, ok := errors.AsType[LostError](err); !ok {
			t.Errorf("got %v; want a LostError", err)
		}
	})
}

// A server that keeps sending, but never what is awaited, is given up in time.
func TestServerThatFloods(t *testing.T) {
	event := make([]byte, 32)
	event[0] = 22
	generic := reply(0, make([]byte, 1<<16)...)
	generic[0] = KindGeneric
	endless := reply(1)
	le.PutUint32(endless[4:], maxWords)
	for name, flood := range map[string][]byte{
		"events":           event,
		"events of 64 KiB": generic,
		"errors":           make([]byte, 32),
		"other replies":    reply(9, make([]byte, 1<<16)...),
	} {
		t.Run(name, func(t *testing.T) { testFlood(t, nil, flood) })
	}
	t.Run("an endless reply", func(t *testing.T) { testFlood(t, endless, make([]byte, 1<<16)) })
}

func testFlood(t *testing.T, first, flood []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer there.Close()
			if _, err := there.Read(make([]byte, 64)); err != nil {
				t.Error(err)
			}
			if _, err := there.Write(first); err != nil {
				t.Error(err)
			}
			for {
				time.Sleep(time.Millisecond)
				if _, err := there.Write(flood); err != nil {
					return
				}
			}
		}()
		c, began := newConn(here), time.Now()
		_, err := c.Await(t.Context(), c.Send(opGetInputFocus, 0))
		if errors.Is(err, ErrTooLong) { // its rest is skipped by the next call
			_, err = c.Await(t.Context(), 2)
		}
		var silent SilentError
		if took := time.Since(began); !errors.As(err, &silent) || took > 2*c.ReplyLimit {
			t.Errorf("got %v after %v; want that the server does not answer, within %v", err, took, c.ReplyLimit)
		}
		c.Close()
		<-done
	})
}

// Lengths that no server sends end the connection before memory is taken for them.
func TestMessagesThatAreTooLong(t *testing.T) {
	long := func(kind byte, words uint32) []byte {
		b := reply(1)
		b[0] = kind
		le.PutUint32(b[4:], words)
		return b
	}
	for name, message := range map[string][]byte{
		"a reply of 16 GiB":  long(kindReply, 1<<32-1),
		"an event of 16 GiB": long(KindGeneric, 1<<32-1),
		"an event of 17 MiB": long(KindGeneric, 17<<18),
		"an event of 4 GiB":  long(KindGeneric, 1<<30),
	} {
		c := newConn(xprototest.Script(message))
		_, err := c.Await(t.Context(), c.Send(opGetInputFocus, 0))
		if _, ok := errors.AsType[LostError](err); !ok || errors.Is(err, io.EOF) || len(c.in) > 1<<20 {
			t.Errorf("%s: got %v with a buffer of %d bytes; want the connection lost for its length", name, err, len(c.in))
		}
	}
}
