package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/pion/stun/v4"
)

// Reason is why a probe failed. The set is closed: it labels a metric.
type Reason string

// The reasons.
const (
	// ReasonTimeout: the server did not answer in time.
	ReasonTimeout Reason = "timeout"
	// ReasonUnreachable: the network reports no route, or no such service.
	ReasonUnreachable Reason = "unreachable"
	// ReasonDNS: the server's name has no address.
	ReasonDNS Reason = "dns"
	// ReasonUnauthorized: the credential is wrong, or has expired.
	ReasonUnauthorized Reason = "unauthorized"
	// ReasonRefused: the server answers with a refusal, for example when a quota is exhausted.
	ReasonRefused Reason = "refused"
	// ReasonTLS: the connection works, but TLS does not.
	ReasonTLS Reason = "tls"
)

// Reasons lists all reasons.
func Reasons() []string {
	return []string{
		string(ReasonTimeout), string(ReasonUnreachable), string(ReasonDNS), string(ReasonUnauthorized),
		string(ReasonRefused), string(ReasonTLS),
	}
}

// tlsError is a TLS error.
type tlsError struct{ error }

func (t tlsError) Unwrap() error { return t.error }

// The codes of STUN and TURN for an invalid credential (RFC 8489, section 14.8; RFC 8656, section 19).
const (
	codeUnauthorized     = 401
	codeStaleNonce       = 438
	codeWrongCredentials = 441
)

// reasonOf returns the reason for err, and a text about it. The text does not repeat what a server sends.
func reasonOf(err error) (Reason, string) {
	if answer, ok := errors.AsType[*stun.TurnError](err); ok {
		code := int(answer.ErrorCodeAttr.Code)
		switch code {
		case codeUnauthorized, codeStaleNonce, codeWrongCredentials:
			return ReasonUnauthorized,
				fmt.Sprintf("the server answers with error %d: the credential is wrong or has expired", code)
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
