package xproto

import (
	"encoding/binary"
	"net"
	"testing"
)

// authority makes an authority file's entry.
func authority(family uint16, address, number, cookie string) []byte {
	b := binary.BigEndian.AppendUint16(nil, family)
	for _, f := range []string{address, number, cookieName, cookie} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
		b = append(b, f...)
	}
	return b
}

func TestCookieIsTheOneThatFitsBest(t *testing.T) {
	var file []byte
	file = append(file, authority(familyLocal, "elsewhere", "3", "renamed")...)
	file = append(file, authority(familyWild, "", "3", "wild")...)
	file = append(file, authority(familyLocal, "here", "3", "local")...)
	file = append(file, authority(familyLocal, "here", "4", "four")...)
	file = append(file, authority(familyLocal, "elsewhere", "5", "renamed")...)
	file = append(file, authority(familyInternet, "\x0a\x00\x00\x01", "3", "ten")...)
	file = append(file, authority(familyInternet6, string(net.ParseIP("fd00::1")), "6", "six")...)
	entries, err := parseAuthority(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		display, remote, want string
	}{
		"the host's own":             {":3", "", "local"},
		"another number":             {":4", "", "four"},
		"the host has been renamed":  {":5", "", "renamed"},
		"no such number":             {":7", "", ""},
		"by address":                 {"ten:3", "10.0.0.1", "ten"},
		"by IPv6 address":            {"six:6", "fd00::1", "six"},
		"wild for any address":       {"other:3", "10.0.0.2", "wild"},
		"local entries stay local":   {"other:4", "10.0.0.2", ""},
		"loopback is the local host": {"localhost:4", "127.0.0.1", "four"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := parseName(tt.display)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := cookie(entries, d, net.ParseIP(tt.remote), "here")
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, ok, tt.want)
			}
		})
	}
}

func FuzzParseAuthority(f *testing.F) {
	f.Add(authority(familyLocal, "here", "3", "0123456789abcdef"))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseAuthority(b)
		n := 0
		for _, e := range entries {
			n += 10 + len(e.address) + len(e.number) + len(e.name) + len(e.payload)
		}
		if n > len(b) || (err == nil && n != len(b)) {
			t.Errorf("got %d bytes of entries from %d, error %v", n, len(b), err)
		}
	})
}

func TestWrittenAuthorityIsRead(t *testing.T) {
	path := t.TempDir() + "/authority"
	if err := WriteAuthority(path, []byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	for _, display := range []string{":0", ":7.1", "host:3", "/run/x.sock"} {
		d, err := parseName(display)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readCookie(path, d, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)})
		if err != nil || got != "0123456789abcdef" {
			t.Errorf("%s: got %q, %v; want the cookie", display, got, err)
		}
	}
}
