package auth

import (
	"crypto/sha256"
	"sync"
)

// viewers keeps the tokens of viewers. They end with the daemon, as the sessions and reservations do that they are for.
type viewers struct {
	mu     sync.Mutex // guards tokens
	tokens map[[sha256.Size]byte]Principal
}

// find returns the principal whose token has that hash. Its duration discloses something of the hash, but not of the
// token.
func (v *viewers) find(hash [sha256.Size]byte) (Principal, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.tokens[hash]
	return p, ok
}
