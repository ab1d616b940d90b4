// Package peer holds one viewer's peer connection: its offer and answer, candidates and ICE restarts, the DTLS
// fingerprints, and the route of media. Network is what all peers of a process share: the media ports and the settings
// of pion.
//
// An offer and a trickle fragment are parsed once, by ParseOffer and ParseFragment. A Peer takes the parsed values.
//
// Locks are taken in this order, each before those to its right:
//
//	Peer.signal ─▶ candidates.mu, mediaPort.mu
//	            ─▶ Peer.mu
//
// Peer.signal is held while candidates are gathered, which waits for the network. No other lock is held while waiting,
// and nothing else is locked with one of Peer.mu, candidates.mu, mediaPort.mu, mediaGate.mu, nomination.mu or
// repeatChecks.mu held.
package peer

import "errors"

// The errors that callers branch on. Each comes wrapped with the details.
var (
	// ErrBadOffer means that the text is not a session description, or not a fragment of one.
	ErrBadOffer = errors.New("peer: malformed session description")
	// ErrUnacceptable means that the description is well formed, but this host cannot send to such a viewer: it
	// receives no video, or none of the host's codecs.
	ErrUnacceptable = errors.New("peer: offer cannot be answered")
	// ErrNoNetwork means that this host has no address for media.
	ErrNoNetwork = errors.New("peer: no network for media")
	// ErrNoMatch means that a fragment for another ICE session came without an entity tag.
	ErrNoMatch = errors.New(`peer: If-Match is missing: send the ETag for trickle ICE, "*" for an ICE restart`)
	// ErrStale means that the entity tag of a fragment is not the current one.
	ErrStale = errors.New("peer: stale entity tag")
	// ErrTooOften means that a viewer restarts ICE too often.
	ErrTooOften = errors.New("peer: too many ICE restarts")
	// ErrClosed means that the peer connection is closed.
	ErrClosed = errors.New("peer: connection closed")
)
