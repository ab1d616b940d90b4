package xproto

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
)

// Address families of an authority file's entries (Xauth.h).
const (
	familyInternet  = 0
	familyInternet6 = 6
	familyLocal     = 256
	familyWild      = 65535
)

// cookieName is the only authorization protocol in use. Servers have dropped XDM-AUTHORIZATION-1 and SUN-DES-1.
const cookieName = "MIT-MAGIC-COOKIE-1"

type authEntry struct {
	family        uint16
	address       string
	number        string
	name, payload string
}

// parseAuthority reads an authority file. Its fields are big-endian on every machine.
func parseAuthority(b []byte) ([]authEntry, error) {
	var entries []authEntry
	field := func() (string, error) {
		if len(b) < 2 {
			return "", io.ErrUnexpectedEOF
		}
		n := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+n {
			return "", io.ErrUnexpectedEOF
		}
		f := string(b[2 : 2+n])
		b = b[2+n:]
		return f, nil
	}
	for len(b) > 0 {
		if len(b) < 2 {
			return entries, io.ErrUnexpectedEOF
		}
		e := authEntry{family: binary.BigEndian.Uint16(b)}
		b = b[2:]
		for _, f := range []*string{&e.address, &e.number, &e.name, &e.payload} {
			s, err := field()
			if err != nil {
				return entries, err
			}
			*f = s
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// cookie picks the entry that fits a display best. The last resort is an entry of the local family for another host
// name: the machine may have been renamed since, or the file may come from outside a container.
func cookie(entries []authEntry, d displayName, remote net.IP, hostname string) (string, bool) {
	best, found := 0, ""
	for _, e := range entries {
		if e.name != cookieName || (e.number != "" && e.number != strconv.Itoa(d.number)) {
			continue
		}
		rank := 0
		switch e.family {
		case familyLocal:
			switch {
			case !d.local() && !remote.IsLoopback():
			case e.address == hostname:
				rank = 3
			default:
				rank = 1
			}
		case familyInternet, familyInternet6:
			if ip := net.IP(e.address); !d.local() && ip.Equal(remote) {
				rank = 3
			}
		case familyWild:
			rank = 2
		}
		if rank > best {
			best, found = rank, e.payload
		}
	}
	return found, best > 0
}

// readCookie finds the cookie for the server. The error says why there is none; it matters only if the server refuses
// the connection.
func readCookie(path string, d displayName, remote net.Addr) (string, error) {
	if path == "" {
		return "", errors.New("no authority file was given")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	entries, err := parseAuthority(b)
	if err != nil {
		return "", errors.New("authority file " + path + " is damaged")
	}
	var ip net.IP
	if tcp, ok := remote.(*net.TCPAddr); ok {
		ip = tcp.IP
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = ""
	}
	c, ok := cookie(entries, d, ip, hostname)
	if !ok {
		return "", errors.New("authority file " + path + " has no cookie for display " + d.full)
	}
	return c, nil
}

// WriteAuthority writes an authority file with one cookie for any host and display. A server reads only the cookie,
// and clients find it whatever number the server chooses.
func WriteAuthority(path string, cookie []byte) error {
	b := binary.BigEndian.AppendUint16(nil, familyWild)
	for _, field := range []string{"", "", cookieName, string(cookie)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
		b = append(b, field...)
	}
	return os.WriteFile(path, b, 0o600)
}
