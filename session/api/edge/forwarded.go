package edge

import (
	"net/netip"
	"strings"
)

// parseHop reads an address with or without a port, in the notation of either header.
func parseHop(s string) (netip.Addr, error) {
	s = strings.TrimSpace(s)
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr().Unmap().WithZone(""), nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return addr.Unmap().WithZone(""), err
}

// forwardedFor returns the for= parameters of a Forwarded header (RFC 7239 section 4). An element without one yields
// "".
func forwardedFor(header string) []string {
	var list []string
	for _, element := range cutQuoted(header, ',') {
		client := ""
		for _, pair := range cutQuoted(element, ';') {
			if name, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(strings.TrimSpace(name), "for") {
				client = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		list = append(list, client)
	}
	return list
}

// cutQuoted splits s at each separator that is outside quotes.
func cutQuoted(s string, sep byte) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}
