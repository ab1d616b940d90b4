package auth

import (
	"wavryhost/session"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

// The ways in which a client shows who it is, and the results. Both label a metric.
const (
	methodToken = session.CredentialToken
	methodGrant = session.CredentialGrant
	methodCert  = session.CredentialCertificate
	methodView  = session.CredentialViewerToken
	methodLocal = session.CredentialLocal
	methodFleet = session.CredentialFleet
	methodNone  = "none"

	resultOK      = "ok"
	resultWrong   = "wrong"
	resultMissing = "missing"
	resultBlocked = "blocked"
	resultNetwork = "network"
	resultRevoked = "revoked"
)

// Results returns the pairs of method and result that Environment.Count may get.
func Results() [][2]string {
	list := [][2]string{
		{methodToken, resultOK},
		{methodToken, resultWrong},
		{methodGrant, resultOK},
		{methodGrant, resultWrong},
		{methodGrant, resultNetwork},
		{methodGrant, resultRevoked},
		{methodCert, resultOK},
		{methodCert, resultRevoked},
		{methodCert, string(grant.Expired)},
		{methodView, resultOK},
		{methodLocal, resultOK},
		{methodFleet, resultOK},
		{methodNone, resultMissing},
		{methodNone, resultOK},
		{methodNone, resultBlocked},
	}
	for _, f := range grant.Faults() {
		list = append(list, [2]string{methodGrant, string(f)})
	}
	return list
}

// invalid refuses a credential that is not valid, and says why.
func invalid(why string) *problem.Error {
	return problem.New(problem.Unauthorized, "%s", why).
		With("WWW-Authenticate", `Bearer realm="wavry-host", error="invalid_token"`)
}
