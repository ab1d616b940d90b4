package gateway

import (
	"errors"
	"fmt"
	"strings"

	"wavryhost/session"
)

// anyone on the list allows everybody.
const anyone = "*"

// allowList lists the users who may send offers. The gateway itself lets every account call every other.
type allowList struct {
	all   bool
	names map[string]struct{}
}

// policy says who may send offers, and with which role.
type policy struct {
	allow allowList
	role  session.Role
}

// newAllowList returns a list of user names. "*" allows everybody.
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

// allows reports whether the user name may send offers. It ignores case.
func (a allowList) allows(name string) bool {
	_, ok := a.names[strings.ToLower(name)]
	return ok || a.all
}
