package peer

import (
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// followAfter is the time without a check on the current pair after which this host follows the viewer to a pair of
// lower priority. Browsers check the pair in use every 2.5 s.
const followAfter = 4 * time.Second

// nomination makes this host follow the viewer to another candidate pair when the current one breaks. The viewer
// decides (RFC 8445, section 8.1.1), but pion keeps the nominated pair of the highest priority. It would go on sending
// on a broken direct path, while the browser waits for pictures on its relay and has no reason to restart ICE.
type nomination struct {
	mu    sync.Mutex
	pair  uint64    // the last nominated pair
	heard time.Time // the time of its last nomination
}

// follow takes a binding request and reports whether its pair must be used from now on.
func (n *nomination) follow(m *stun.Message, _, _ ice.Candidate, pair *ice.CandidatePair) bool {
	if !m.Contains(stun.AttrUseCandidate) || pair == nil {
		return false
	}
	return n.on(pair.ID(), time.Now())
}

// on takes a nomination of a pair and reports whether the pair must be used. pion itself takes one of higher priority.
func (n *nomination) on(pair uint64, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pair != 0 && n.pair != pair && now.Sub(n.heard) < followAfter {
		return false
	}
	changed := n.pair != 0 && n.pair != pair
	n.pair, n.heard = pair, now
	return changed
}
