package x11

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

var le = binary.LittleEndian

// setup is the server's description of itself at the start of a connection.
type setup struct {
	release        uint32
	vendor         string
	idBase, idMask uint32
	lsbFirst       bool
	formats        []format
	screens        []screen
}

type format struct{ depth, bitsPerPixel, scanlinePad byte }

type screen struct {
	root             uint32
	width, height    int
	depth            byte
	red, green, blue uint32 // of the root window's visual
}

var errShort = errors.New("x11: the server's greeting is cut short")

// parseSetup reads the body of a successful connection setup, from its first byte.
func parseSetup(b []byte) (setup, error) {
	if len(b) < 40 {
		return setup{}, errShort
	}
	s := setup{release: le.Uint32(b[8:]), idBase: le.Uint32(b[12:]), idMask: le.Uint32(b[16:]), lsbFirst: b[30] == 0}
	vendor, screens, formats := int(le.Uint16(b[24:])), int(b[28]), int(b[29])
	b = b[40:]
	if len(b) < pad4(vendor)+8*formats {
		return setup{}, errShort
	}
	s.vendor = string(b[:vendor])
	b = b[pad4(vendor):]
	for range formats {
		s.formats = append(s.formats, format{depth: b[0], bitsPerPixel: b[1], scanlinePad: b[2]})
		b = b[8:]
	}
	for range screens {
		if len(b) < 40 {
			return setup{}, errShort
		}
		sc := screen{
			root: le.Uint32(b), width: int(le.Uint16(b[20:])), height: int(le.Uint16(b[22:])), depth: b[38],
		}
		visual, depths := le.Uint32(b[32:]), int(b[39])
		b = b[40:]
		for range depths {
			if len(b) < 8 {
				return setup{}, errShort
			}
			n := int(le.Uint16(b[2:]))
			b = b[8:]
			if len(b) < 24*n {
				return setup{}, errShort
			}
			for range n {
				if le.Uint32(b) == visual {
					sc.red, sc.green, sc.blue = le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint32(b[16:])
				}
				b = b[24:]
			}
		}
		s.screens = append(s.screens, sc)
	}
	return s, nil
}

// greet starts the X protocol on nc.
func greet(nc net.Conn, cookie string) (setup, error) {
	name := ""
	if cookie != "" {
		name = cookieName
	}
	b := []byte{'l', 0, 11, 0, 0, 0}
	b = le.AppendUint16(b, uint16(len(name)))
	b = le.AppendUint16(b, uint16(len(cookie)))
	b = append(b, 0, 0)
	b = appendPadded(b, name)
	b = appendPadded(b, cookie)
	if _, err := nc.Write(b); err != nil {
		return setup{}, err
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(nc, head); err != nil {
		return setup{}, err
	}
	// The peer may be another program, which sends fewer bytes than expected. In a demand for more authentication (kind 2)
	// the version is unused.
	n := 4 * int(le.Uint16(head[6:]))
	if head[0] > 2 || (head[0] < 2 && le.Uint16(head[2:]) != 11) {
		return setup{}, errors.New("the peer is not an X11 server")
	}
	body := make([]byte, 8+n)
	copy(body, head)
	if _, err := io.ReadFull(nc, body[8:]); err != nil {
		return setup{}, err
	}
	switch head[0] {
	case 0:
		return setup{}, refusedError(strings.TrimSpace(string(body[8 : 8+min(n, int(head[1]))])))
	case 2:
		return setup{}, refusedError(strings.TrimSpace(strings.TrimRight(string(body[8:]), "\x00")))
	}
	return parseSetup(body)
}

// refusedError is the server's reason for a refusal.
type refusedError string

func (e refusedError) Error() string { return "the server refuses: " + string(e) }

// openTimeout bounds the opening of a display. Servers answer in milliseconds unless a client has grabbed them.
const openTimeout = 5 * time.Second

// maxClients is the server's message when it has no room for another client.
const maxClients = "Maximum number of clients"

// connect opens the display with the first authority file that the server accepts.
func connect(ctx context.Context, display string, authority []string) (*conn, screen, error) {
	if err := checkSystem(); err != nil {
		return nil, screen{}, err
	}
	d, err := parseDisplay(display)
	if err != nil {
		return nil, screen{}, err
	}
	if len(authority) == 0 {
		authority = []string{""}
	}
	tried := make(map[string]bool)
	var refused refusedError
	var reasons []string
	for _, path := range authority {
		nc, err := d.dial(ctx)
		if err != nil {
			return nil, screen{}, err
		}
		key, keyErr := readCookie(path, d, nc.RemoteAddr())
		switch {
		case keyErr != nil:
			reasons = append(reasons, keyErr.Error())
		default:
			reasons = append(reasons, "with the cookie from "+path)
		}
		if tried[key] {
			nc.Close()
			continue
		}
		tried[key] = true
		c, sc, err := enter(ctx, nc, d, key)
		switch {
		case err == nil:
			return c, sc, nil
		case errors.As(err, &refused) && !strings.Contains(err.Error(), maxClients):
			continue
		case errors.As(err, &refused):
			err = fmt.Errorf("%w: close programs on it, or start the server with -maxclients", err)
		case errors.Is(err, context.DeadlineExceeded):
			err = fmt.Errorf("the server at %s does not answer: %w", d.address, err)
		}
		return nil, screen{}, fmt.Errorf("x11: open display %s: %w", display, err)
	}
	return nil, screen{}, fmt.Errorf(
		"x11: open display %s: %w (%s): give the authority file that the server was started with "+
			"(XAUTHORITY), or run as its user after xhost +SI:localuser:NAME",
		display,
		refused,
		strings.Join(reasons, "; "),
	)
}

// enter greets the server on nc, and closes nc on failure.
func enter(ctx context.Context, nc net.Conn, d displayName, key string) (*conn, screen, error) {
	// The greeting has no reader to wake. When ctx ends, the socket is closed under it.
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	set, err := greet(nc, key)
	if !stop() {
		err = ctx.Err()
	}
	if err == nil && d.screen >= len(set.screens) {
		err = fmt.Errorf("it has no screen %d, but %d", d.screen, len(set.screens))
	}
	if err != nil {
		nc.Close()
		return nil, screen{}, err
	}
	return newConn(nc, d, set), set.screens[d.screen], nil
}

func pad4(n int) int { return (n + 3) &^ 3 }

func appendPadded(b []byte, s string) []byte {
	b = append(b, s...)
	for range pad4(len(s)) - len(s) {
		b = append(b, 0)
	}
	return b
}
