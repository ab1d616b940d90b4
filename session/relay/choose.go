package relay

import (
	"cmp"
	"slices"
)

const (
	// perRegion is how many servers of a kind a session uses: one, and a second in case the first fails. Each costs a
	// browser sockets and time.
	perRegion = 2
	// inTrouble is how many a session uses when all seem to be down.
	inTrouble = 5
)

// judged is a server with its URLs that are not down.
type judged struct {
	Server
	alive []string
}

// choose returns the servers to use, best first: up to two TURN servers and up to two STUN-only servers, each from the
// first region of prefer with a live server. Then come servers without a region, then other regions. Without preference
// all regions are one. If all servers of a kind are down, health does not count.
func choose(all []judged, prefer []string) []Server {
	var out []Server
	for _, turn := range []bool{true, false} {
		var kind []judged
		for _, j := range all {
			if j.relays() == turn {
				kind = append(kind, j)
			}
		}
		out = append(out, chooseKind(kind, prefer)...)
	}
	return out
}

// Any reports whether one of servers is a TURN server.
func Any(servers []Server) bool { return slices.ContainsFunc(servers, Server.relays) }

func chooseKind(all []judged, prefer []string) []Server {
	ranks := make(map[string]int)
	for i, j := range all {
		if _, known := ranks[j.Region]; known {
			continue
		}
		at := slices.Index(prefer, j.Region)
		switch {
		case len(prefer) == 0:
		case at >= 0:
			ranks[j.Region] = at
		case j.Region == "":
			ranks[""] = len(prefer)
		default: // other regions, in the order of the list
			ranks[j.Region] = len(prefer) + 1 + i
		}
	}
	slices.SortStableFunc(all, func(a, b judged) int {
		return cmp.Or(cmp.Compare(ranks[a.Region], ranks[b.Region]), cmp.Compare(a.Priority, b.Priority))
	})
	var out []Server
	for _, j := range all {
		if len(j.alive) == 0 || len(out) == perRegion || len(out) > 0 && ranks[j.Region] != ranks[out[0].Region] {
			continue
		}
		s := j.Server
		s.URLs = j.alive
		out = append(out, s)
	}
	if len(out) == 0 {
		for _, j := range all[:min(len(all), inTrouble)] {
			out = append(out, j.Server)
		}
	}
	return out
}
