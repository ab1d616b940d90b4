package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"
)

// Patched is the result of a fragment.
type Patched struct {
	// SDP is the fragment with this host's new credentials and candidates after an ICE restart, or an empty string.
	SDP string
	// ETag is the entity tag of the ICE session.
	ETag string
	// Restarted: this fragment restarted ICE.
	Restarted bool
}

// restarted is the last ICE restart. A client that lost the response to it sends the same fragment again.
type restarted struct {
	etag   string // before the restart
	answer Patched
}

// Patch applies a fragment: candidates of the current ICE session, or the credentials of a new one. ifMatch is the
// entity tag of the ICE session, "*", or empty for no condition.
func (p *Peer) Patch(ctx context.Context, ifMatch string, f Fragment) (Patched, error) {
	p.signal.Lock()
	defer p.signal.Unlock()
	current := f.ufrag == p.remote.ufrag
	last := p.restarted
	if current && last.answer.SDP != "" && ifMatch != "" && matches(ifMatch, last.etag) {
		return last.answer, p.trickle(f) // the response to the restart was lost
	}
	switch {
	case ifMatch == "" && !current:
		return Patched{}, ErrNoMatch
	case ifMatch != "" && !matches(ifMatch, p.etag):
		return Patched{}, ErrStale
	}
	if f.ufrag == "" || current {
		if len(f.candidates) == 0 && !f.end && f.unusable != nil {
			return Patched{}, f.unusable
		}
		return Patched{ETag: p.etag}, p.trickle(f)
	}
	// A client that changes networks may be gone before the response. The restart continues without it, bounded by
	// GatherTimeout.
	own, err := p.restart(context.WithoutCancel(ctx), f)
	if errors.Is(err, webrtc.ErrConnectionClosed) {
		return Patched{}, fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if err != nil {
		return Patched{}, err
	}
	before := p.etag
	p.etag = newETag()
	p.restarted = restarted{etag: before, answer: Patched{SDP: own.String(), ETag: p.etag}}
	p.params.Log.Info("ice restarted", "candidates", len(f.candidates))
	return Patched{SDP: p.restarted.answer.SDP, ETag: p.etag, Restarted: true}, nil
}

// restart begins a new ICE session with the credentials of f and returns this host's. The caller holds signal.
func (p *Peer) restart(ctx context.Context, f Fragment) (Fragment, error) {
	if err := p.theirs.restart(time.Now()); err != nil {
		return f, err
	}
	p.remote = Fragment{ufrag: f.ufrag, pwd: f.pwd, candidates: p.theirs.admit(f.candidates)}
	servers := p.params.Relays() // the relay of the path may be what failed, and credentials expire
	p.mu.Lock()
	p.servers = servers
	p.mu.Unlock()
	if err := p.pc.SetConfiguration(configuration(servers)); err != nil {
		return f, fmt.Errorf("replace ICE servers: %w", err)
	}
	if err := p.apply(); err != nil {
		return f, err
	}
	own, err := p.respond(ctx)
	if err != nil {
		return f, err
	}
	o := p.params.Offer
	next := iceOf(own.MediaDescriptions[o.tag])
	next.media, next.mid = own.MediaDescriptions[o.tag].MediaName.String(), o.sections[o.tag].mid()
	return next, nil
}

// trickle adds the candidates of f. It skips unusable ones, and fails if all are unusable. The caller holds
// signal.
func (p *Peer) trickle(f Fragment) error {
	var failed error
	added := 0
	for _, c := range p.theirs.admit(f.candidates) {
		if err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c}); err != nil {
			failed = fmt.Errorf("%w: candidate %.80q: %w", ErrBadOffer, c, err)
			continue
		}
		added++
	}
	if added > 0 {
		return nil
	}
	return failed
}
