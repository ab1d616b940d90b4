package auth

import (
	"strings"
	"testing"

	"wavryhost/session"
)

// A TURN server can distinguish owners, but not identify them.
func TestTURNUserIsOfTheOwner(t *testing.T) {
	seen := make(map[string]session.Owner)
	for _, o := range []session.Owner{
		{},
		{Credential: session.CredentialOperatorToken, Name: "token"},
		{Credential: session.CredentialGrant, Issuer: "a", Name: "ann"},
		{Credential: session.CredentialGrant, Issuer: "b", Name: "ann"},
		{Credential: session.CredentialToken, Name: "ann"},
		{Credential: session.CredentialGrant, Issuer: "aa", Name: "nn"},
	} {
		user := (Principal{Owner: o}).TURNUser()
		if other, there := seen[user]; there || user != (Principal{Owner: o}).TURNUser() ||
			strings.ContainsAny(user, ": ") || strings.Contains(user, "ann") {
			t.Errorf("%+v is called %q, as is %+v", o, user, other)
		}
		seen[user] = o
	}
}
