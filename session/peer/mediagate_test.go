package peer

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fromAddress is a connection that comes from an address.
type fromAddress struct {
	net.Conn
	at *net.TCPAddr
}

func (f fromAddress) RemoteAddr() net.Addr { return f.at }

// arrivals is a listener that a test gives connections to.
type arrivals chan net.Conn

func (a arrivals) Accept() (net.Conn, error) {
	c, ok := <-a
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (a arrivals) Close() error   { close(a); return nil }
func (a arrivals) Addr() net.Addr { return &net.TCPAddr{} }

func TestMediaGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 40
		var mu sync.Mutex
		cut := map[string]int{}
		come := make(arrivals)
		gate := newMediaGate(come, most, func(reason string) {
			mu.Lock()
			defer mu.Unlock()
			cut[reason]++
		})
		var accepted []net.Conn
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := gate.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				accepted = append(accepted, c)
				mu.Unlock()
			}
		}()
		from := func(address string) net.Conn {
			here, there := net.Pipe()
			come <- fromAddress{there, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
			synctest.Wait()
			return here
		}
		closed := func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return errors.Is(err, io.EOF)
		}
		speak := func(c net.Conn) {
			mu.Lock()
			last := accepted[len(accepted)-1]
			mu.Unlock()
			go func() { _, _ = c.Write([]byte{1}) }()
			if _, err := last.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		// One address has no more than its share, in IPv6 one network.
		var silent []net.Conn
		for range tcpPerAddress {
			silent = append(silent, from("2001:db8::1"))
		}
		if c := from("2001:db8::2"); !closed(c) || cut[cutAddress] != 1 {
			t.Errorf("a network has %d connections; cut are %v", tcpPerAddress+1, cut)
		}
		// Of others each gets a place, at the cost of the silent ones of the network that has most.
		for i := range most {
			c := from(net.IPv4(192, 0, 2, byte(i)).String())
			if closed(c) {
				t.Fatalf("viewer %d finds no place; cut are %v", i, cut)
			}
			speak(c)
		}
		for i, c := range silent {
			if !closed(c) {
				t.Errorf("silent connection %d still has a place", i)
			}
		}
		if c := from("198.51.100.1"); !closed(c) || cut[cutFull] != 1 || cut[cutSilent] != tcpPerAddress {
			t.Errorf("one more than there are places; cut are %v", cut)
		}
		mu.Lock()
		first := accepted[tcpPerAddress]
		mu.Unlock()
		first.Close()
		first.Close()
		if c := from("198.51.100.1"); closed(c) {
			t.Error("a place that was given back is not free")
		}
		close(come)
		<-done
		for _, c := range accepted {
			c.Close()
		}
		if len(gate.open) != 0 || len(gate.byAddress) != 0 {
			t.Errorf("%d connections and %d addresses are left", len(gate.open), len(gate.byAddress))
		}
	})
}

// A viewer that reads nothing blocks a writer for a limited time only.
func TestWritesToAViewerThatDoesNotReadEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		come := make(arrivals, 1)
		gate := newMediaGate(come, 1, func(string) {})
		here, there := net.Pipe()
		defer here.Close()
		come <- fromAddress{there, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}
		c, err := gate.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		begun := time.Now()
		if _, err := c.Write(make([]byte, 1000)); !errors.Is(err, os.ErrDeadlineExceeded) ||
			time.Since(begun) != tcpWrite {
			t.Errorf("the write ends with %v after %v; want a timeout after %v", err, time.Since(begun), tcpWrite)
		}
	})
}
