package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/pion/stun/v4"
)

// Reason is what a probe failed by. The set is closed: it labels a metric.
type Reason string

// The reasons.
const (
	// ReasonTimeout: the server did not answer in time.
	ReasonTimeout Reason = "timeout"
	// ReasonUnreachable: the network says that there is no way, or no such service.
	ReasonUnreachable Reason = "unreachable"
	// ReasonDNS: the server's name has no address.
	ReasonDNS Reason = "dns"
	// ReasonUnauthorized: the credential is wrong, or has expired.
	ReasonUnauthorized Reason = "unauthorized"
	// ReasonRefused: the server answers, but gives nothing, as when a quota is used up.
	ReasonRefused Reason = "refused"
	// ReasonTLS: the connection is there, but not the encryption.
	ReasonTLS Reason = "tls"
)

// Reasons lists all reasons.
func Reasons() []string {
	return []string{
		string(ReasonTimeout), string(ReasonUnreachable), string(ReasonDNS), string(ReasonUnauthorized), string(ReasonRefused), string(ReasonTLS),
	}
}

// tlsError is an error of the encryption.
type tlsError struct{ error }

func (t tlsError) Unwrap() error { return t.error }

// The codes of STUN and TURN that say that the credential is not good (RFC 8489, section 14.8; RFC 8656, section 19).
const (
	codeUnauthorized     = 401
	codeStaleNonce       = 438
	codeWrongCredentials = 441
)

// reasonOf returns what err means, and what may be said about it: what a server says for people is not repeated.
func reasonOf(err error) (Reason, string) {
	if answer, ok := errors.AsType[*stun.TurnError](err); ok {
		code := int(answer.ErrorCodeAttr.Code)
		switch code {
		case codeUnauthorized, codeStaleNonce, codeWrongCredentials:
			return ReasonUnauthorized, fmt.Sprintf("the server answers with error %d: the credential is wrong or has expired", code)
		}
		return ReasonRefused, fmt.Sprintf("the server answers with error %d", code)
	}
	if errors.Is(err, stun.ErrAttributeNotFound) {
		return ReasonRefused, "the server answers with less than it should"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return ReasonDNS, err.Error()
	}
	if _, ok := errors.AsType[tlsError](err); ok {
		return ReasonTLS, err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return ReasonTimeout, "no answer in time"
	}
	return ReasonUnreachable, err.Error()
}
