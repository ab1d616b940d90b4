package floor

import "wavryhost/session/enum"

// Role is what a session's viewer may do. The set is closed.
type Role uint8

// The roles.
const (
	// RoleViewer may watch.
	RoleViewer Role = iota
	// RoleController may control the display as well.
	RoleController
	// RoleOperator may do everything.
	RoleOperator
)

var roles = [...]string{
	RoleViewer:     "viewer",
	RoleController: "controller",
	RoleOperator:   "operator",
}

// Roles lists all roles.
func Roles() []Role { return enum.All[Role](roles[:]) }

func (r Role) String() string { return enum.Name(roles[:], r) }

// Policy is whose input a host takes. The set is closed.
type Policy uint8

// The policies.
const (
	// Controllers takes that of controllers and operators.
	Controllers Policy = iota
	// Operators takes that of operators alone.
	Operators
	// Off takes none.
	Off
)

var policies = [...]string{
	Controllers: "controllers",
	Operators:   "operators",
	Off:         "off",
}

// Policies lists all policies.
func Policies() []Policy { return enum.All[Policy](policies[:]) }

func (p Policy) String() string { return enum.Name(policies[:], p) }

// Lets reports whether a role's input is accepted.
func (p Policy) Lets(r Role) bool {
	return p == Controllers && r == RoleController || p != Off && r == RoleOperator
}
