package session

import (
	"cmp"
	"errors"
	"slices"

	"wavryhost/session/admission"
)

// visitor is who uses displays of groups, as far as a later request tells that it is the same one. It is empty for
// clients that share a credential.
type visitor string

// visitorOf returns the visitor who makes an offer.
func visitorOf(o Offer) visitor {
	if !o.Guest || o.Owner.Credential == CredentialAnonymous {
		return ""
	}
	if o.Owner.Credential == CredentialViewerToken {
		return visitorBy(o.Owner.Name)
	}
	return visitor(o.Owner.Credential + "\x00" + o.Owner.Issuer + "\x00" + o.Owner.Name)
}

// visitorBy returns the visitor that an operator names.
func visitorBy(subject string) visitor {
	if subject == "" {
		return ""
	}
	return visitor(CredentialViewerToken + "\x00" + subject)
}

// groups is what is known of displays that belong to groups, and of displays that run while something holds them. The
// registry's mu guards it.
type groups struct {
	// last has the last visitor of each display.
	last map[string]visitor
	// holds has what ends the hold of each reservation.
	holds map[string]func()
}

func newGroups() groups {
	return groups{last: make(map[string]visitor), holds: make(map[string]func())}
}

// used notes who uses a display.
func (g *groups) used(d Display, o Offer) {
	if d.Group != "" {
		g.last[d.ID] = visitorOf(o)
	}
}

// returns reports whether a visitor was the last one on a display that is kept.
func (g *groups) returns(who visitor, d Display) bool {
	return who != "" && g.last[d.ID] == who && d.kept()
}

// release ends the hold of a reservation.
func (g *groups) release(reservation string) {
	if release := g.holds[reservation]; release != nil {
		delete(g.holds, reservation)
		release()
	}
}

// place returns the display that a visitor gets who requests d: d itself or, if d is a group, the member that this
// visitor left and that is kept, else the first free member. Members that do not run come before members that are kept
// for others, which are started anew. try asks admission. The caller holds mu.
func (g *groups) place(
	a *admission.Admitter, d Display, who visitor, now admission.Snapshot, try func(Display) error,
) (Display, error) {
	if len(d.members) == 0 {
		return d, try(d)
	}
	rank := func(one Display) int {
		switch {
		case admission.Taken(a, one.ID, now):
			return 3 // its session may give way
		case g.returns(who, one):
			return 0
		case !one.kept():
			return 1
		default:
			return 2
		}
	}
	members := slices.Clone(d.members)
	ranks := make(map[string]int, len(members))
	for _, one := range members {
		ranks[one.ID] = rank(one)
	}
	slices.SortStableFunc(members, func(a, b Display) int { return cmp.Compare(ranks[a.ID], ranks[b.ID]) })
	for _, one := range members {
		one.alone, one.fresh = true, ranks[one.ID] != 0
		err := try(one)
		full, ok := errors.AsType[*RefusalError](err)
		if !ok || full.Resource != string(admission.DisplayViewers) {
			return one, err
		}
	}
	return d, admission.Refuse(admission.DisplayViewers, "all %d displays of %s are in use", len(members), d.ID)
}
