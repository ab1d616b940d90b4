package peer

import (
	"fmt"
	"slices"
	"strings"
)

// readTransport reads the ICE credentials, candidates, fingerprints and the DTLS role of the tagged section. What that
// section lacks is taken from the video section, the session and the rest of the group.
func (o *Offer) readTransport(group []int) error {
	parts := []*lines{&o.sections[o.tag].lines, &o.sections[o.video].lines, &o.lines}
	own := len(parts)
	for _, i := range group {
		parts = append(parts, &o.sections[i].lines)
	}
	grouped := len(parts)
	if o.ufrag, o.pwd = credentialsOf(parts); o.ufrag == "" {
		return fmt.Errorf("%w: neither %s nor the session has a usable a=ice-ufrag and a=ice-pwd",
			ErrBadOffer, o.sections[o.tag])
	}
	for _, s := range o.sections { // the certificate is the viewer's, so any section may hold its fingerprint
		parts = append(parts, &s.lines)
	}
	for _, p := range parts {
		if o.fingerprints = fingerprintsOf(p); len(o.fingerprints) > 0 {
			break
		}
	}
	if len(o.fingerprints) == 0 {
		return fmt.Errorf("%w: neither %s nor the session has a usable a=fingerprint", ErrBadOffer, o.sections[o.tag])
	}
	o.setup = setupOf(parts[:grouped])
	o.lite = o.has("ice-lite")
	for _, p := range parts[:own] {
		options, _ := p.value("ice-options")
		o.trickles = o.trickles || slices.Contains(strings.Fields(options), "trickle")
	}
	for _, p := range parts[:grouped] {
		if o.candidates = candidatesOf(p); len(o.candidates) > 0 {
			break
		}
	}
	return nil
}

// credentialsOf returns the first usable ICE credentials.
func credentialsOf(parts []*lines) (ufrag, pwd string) {
	for _, p := range parts {
		ufrag, _ := p.value("ice-ufrag")
		pwd, _ := p.value("ice-pwd")
		if isICEString(ufrag, 4) && isICEString(pwd, 22) {
			return ufrag, pwd
		}
	}
	return "", ""
}

// setupOf returns the viewer's role in DTLS (RFC 5763, section 5).
func setupOf(parts []*lines) string {
	for _, p := range parts {
		setup, ok := p.value("setup")
		if setup == "active" || setup == "passive" {
			return setup
		}
		if ok {
			break
		}
	}
	return "actpass"
}

// candidatesOf returns the usable candidates, up to maxCandidates.
func candidatesOf(p *lines) (list []string) {
	for _, a := range p.attributes {
		if a.key != "candidate" || len(list) >= maxCandidates {
			continue
		}
		if checkCandidate(a.value) == nil && !slices.Contains(list, a.value) {
			list = append(list, a.value)
		}
	}
	return list
}
