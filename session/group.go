package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"wavryhost/session/admission"
)

// choice is what a Display is to a request for a group.
type choice struct {
	// members makes a display stand for its group: one of them is to be chosen.
	members []Display
	// alone marks a member that was chosen. It is for one session. fresh is set if nothing is to be left on it of what
	// others did.
	alone, fresh bool
}

// groupOf returns a display that stands for the group with an ID.
func groupOf(displays []Display, id string) (Display, bool) {
	var members []Display
	for _, d := range displays {
		if d.Group == id && id != "" {
			members = append(members, d)
		}
	}
	if len(members) == 0 {
		return Display{}, false
	}
	d := members[0]
	d.ID, d.members = id, members
	return d, true
}

// member returns the member of a group that has an ID. It returns d if there is none, or if d is no group.
func (d Display) member(id string) Display {
	for _, one := range d.members {
		if one.ID == id {
			return one
		}
	}
	return d
}

// orFirst returns the first member of a group, or d if it is no group.
func (d Display) orFirst() Display {
	if len(d.members) > 0 {
		return d.members[0]
	}
	return d
}

// hold makes the display run until release is called.
func (d Display) hold(ctx context.Context) (release func(), err error) {
	if d.Hold == nil {
		return func() {}, nil
	}
	release, err = d.Hold(ctx, d.fresh)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoPicture, d.ID, err)
	}
	return release, nil
}

// kept reports whether the display may run although nothing holds it.
func (d Display) kept() bool { return d.Kept != nil && d.Kept() }

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
