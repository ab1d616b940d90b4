package session

import (
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// followAfter is how long the viewer has to leave a pair alone before this host follows it to a lesser one. Browsers ask on the pair that they use every 2.5 s.
const followAfter = 4 * time.Second

// nomination makes this host follow a viewer to the candidate pair that it goes on with when a better one breaks. The viewer decides (RFC 8445, section 8.1.1), but
// pion keeps the nominated pair of the highest priority: it would send into a direct path that is cut while a browser, content with its relay, waits
// for pictures and sees no reason to restart ICE.
type nomination struct {
	mu    sync.Mutex
	pair  uint64    // the pair that was nominated last
	heard time.Time // when
}

// follow is called for each binding request, and tells whether its pair is to be used from now on.
func (n *nomination) follow(m *stun.Message, _, _ ice.Candidate, pair *ice.CandidatePair) bool {
	if !m.Contains(stun.AttrUseCandidate) || pair == nil {
		return false
	}
	return n.on(pair.ID(), time.Now())
}

// on takes a nomination of a pair. pion itself takes those of a higher priority.
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
