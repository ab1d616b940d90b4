package gateway

import (
	"errors"
	"fmt"
	"strings"

	"wavryhost/session"
)

// anyone on the list allows everybody.
const anyone = "*"

// allowList says who may offer. The gateway itself lets every account of it call every other.
type allowList struct {
	all   bool
	names map[string]struct{}
}

// policy is who may offer, and as what.
type policy struct {
	allow allowList
	role  session.Role
}

// newAllowList returns a list of user names, or of "*" for everybody.
func newAllowList(names []string) (allowList, error) {
	a := allowList{names: make(map[string]struct{}, len(names))}
	for _, n := range names {
		switch {
		case n == anyone:
			a.all = true
		case isName(n):
			a.names[strings.ToLower(n)] = struct{}{}
		default:
			return a, fmt.Errorf("gateway: %q on the list of who may offer is neither a user name nor *", n)
		}
	}
	if !a.all && len(a.names) == 0 {
		return a, errors.New("gateway: the list of who may offer is empty: nobody could watch")
	}
	return a, nil
}

// allows tells whether name may offer. Names differ in more than their case.
func (a allowList) allows(name string) bool {
	_, ok := a.names[strings.ToLower(name)]
	return ok || a.all
}
