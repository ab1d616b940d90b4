package gateway

import (
	"errors"
	"fmt"
)

// Class is the kind of error that keeps the link down. The set is closed: it labels a metric.
type Class uint8

// The classes of errors.
const (
	// ClassNone: no error.
	ClassNone Class = iota
	// ClassNetwork: the gateway cannot be reached, or the connection broke.
	ClassNetwork
	// ClassTimeout: the gateway accepts connections, but does not answer.
	ClassTimeout
	// ClassServer: the gateway reports an internal error.
	ClassServer
	// ClassUnrouted: the connection works, but messages to this host's account do not arrive.
	ClassUnrouted
	// ClassRate: too many attempts from this address.
	ClassRate
	// ClassCapacity: the gateway accepts no further connection, in total or from this address.
	ClassCapacity
	// ClassToken: the token has expired or was revoked.
	ClassToken
	// ClassCredentials: there is no usable token or account, or the gateway refuses it.
	ClassCredentials
	// ClassSuspended: the account is banned.
	ClassSuspended
	// ClassReplaced: another client has bound to the account.
	ClassReplaced
	// ClassOrigin: the gateway does not allow the Origin.
	ClassOrigin
	// ClassTLS: the gateway's certificate is not trusted, or does not match a pin.
	ClassTLS
	// ClassProtocol: the server is not such a gateway, or uses another version or dialect.
	ClassProtocol
)

// Classes lists all classes of errors.
func Classes() []Class {
	return []Class{
		ClassNetwork, ClassTimeout, ClassServer, ClassUnrouted, ClassRate, ClassCapacity, ClassToken, ClassCredentials,
		ClassSuspended, ClassReplaced, ClassOrigin, ClassTLS, ClassProtocol,
	}
}

func (c Class) String() string {
	switch c {
	case ClassNone:
		return "none"
	case ClassNetwork:
		return "network"
	case ClassTimeout:
		return "timeout"
	case ClassServer:
		return "server"
	case ClassUnrouted:
		return "unrouted"
	case ClassRate:
		return "rate"
	case ClassCapacity:
		return "capacity"
	case ClassToken:
		return "token"
	case ClassCredentials:
		return "credentials"
	case ClassSuspended:
		return "suspended"
	case ClassReplaced:
		return "replaced"
	case ClassOrigin:
		return "origin"
	case ClassTLS:
		return "tls"
	case ClassProtocol:
		return "protocol"
	default:
		return fmt.Sprintf("class(%d)", uint8(c))
	}
}

// fatal reports whether a quick retry can only do harm, because an operator must change something first. Wavry's
// gateway locks an account, and all logins from its address, after five failures.
func (c Class) fatal() bool {
	switch c {
	case ClassCredentials, ClassSuspended, ClassReplaced, ClassOrigin, ClassTLS, ClassProtocol:
		return true
	default:
		return false
	}
}

// secrets reports whether other credentials would help.
func (c Class) secrets() bool {
	return c == ClassCredentials || c == ClassToken || c == ClassSuspended
}

// failure is an error with its class.
type failure struct {
	class Class
	err   error
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// failed returns an error of that class.
func failed(c Class, format string, args ...any) error {
	return &failure{c, fmt.Errorf(format, args...)}
}

// classOf returns the class of err. An error without a class comes from the network.
func classOf(err error) Class {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.class
	}
	return ClassNetwork
}
