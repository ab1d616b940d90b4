package display

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
)

const (
	cookieProtocol = "MIT-MAGIC-COOKIE-1"
	cookieSize     = 16
)

// newCookie returns a random cookie.
func newCookie() []byte {
	cookie := make([]byte, cookieSize)
	_, _ = rand.Read(cookie) // never fails, by its contract
	return cookie
}

// writeAuthority writes an Xauthority file with one cookie for any host and display. The server reads only the cookie,
// and clients find it whatever number the server chooses.
func writeAuthority(path string, cookie []byte) error {
	const familyWild = 0xffff
	b := binary.BigEndian.AppendUint16(nil, familyWild)
	for _, field := range []string{"", "", cookieProtocol, string(cookie)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
		b = append(b, field...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("display: write the authority file: %w", err)
	}
	return nil
}
