package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

const (
	// wrongEvery is how often a network may try that has shown too many wrong credentials in a row. With minTokenLength that is far from a guess, and slows
	// nobody who mistypes.
	wrongEvery = 2 * time.Second
	// A network that has used up its attempts may have so many signatures checked at once, then one in checkEvery. It takes some 0.1 ms each.
	checkBurst = 100
	checkEvery = 50 * time.Millisecond
)

// keeper checks who asks: by the operator's token, the tokens of the file, a grant, or a client certificate.
type keeper struct {
	live   func() *live
	file   *tokenFile // nil without one
	grants *grant.Verifier
	*revoked
	// certRole is what a verified client certificate makes of its owner; empty where none is asked for.
	certRole grant.Role
	// certRules go before it, the first one that fits.
	certRules []ClientRule
	clients   *clients // nil where certRole is empty
	count     func(method, result string)
	nets      *networks
}

// principal is who asks: the owner of what it opens.
type principal struct {
	session.Owner
	role  grant.Role
	grant *grant.Grant // nil without one
	// hash is that of a token. scope and until limit one of the file; without a date until is zero.
	hash  [sha256.Size]byte
	scope grant.Scope
	until time.Time
	// remote is where the request came from, and display what the session shows that was opened by it, for the limits of a token.
	remote, display string
	// chain is that of a certificate, its own in front.
	chain []*x509.Certificate
}

// The ways in which a client shows who it is, and how that ended.
const (
	methodToken = session.CredentialToken
	methodGrant = session.CredentialGrant
	methodCert  = session.CredentialCertificate
	methodNone  = "none"

	resultOK      = "ok"
	resultWrong   = "wrong"
	resultMissing = "missing"
	resultBlocked = "blocked"
	resultNetwork = "network"
	resultRevoked = "revoked"
)

// admit tells who r comes from. Of a credential that is known and not good, it tells whose it is, without a role.
func (k *keeper) admit(r *http.Request) (principal, error) {
	p, err := k.recognize(r)
	if err == nil && p.Credential != session.CredentialAnonymous {
		k.nets.right(time.Now(), clientOf(r))
	}
	return p, err
}

func (k *keeper) recognize(r *http.Request) (principal, error) {
	if len(r.Header.Values("Authorization")) > 1 {
		// A proxy in front may look at another one than we do.
		return principal{}, invalid("there is more than one Authorization header")
	}
	if p, ok := k.certified(r); ok && r.Header.Get("Authorization") == "" {
		if why, err := k.clients.stands(p.chain, time.Now()); err != nil {
			result := resultRevoked
			if why == session.EndExpired {
				result = string(grant.Expired)
			}
			k.count(methodCert, result)
			return principal{Owner: p.Owner}, err
		}
		k.count(methodCert, resultOK)
		return p, nil
	}
	header := r.Header.Get("Authorization")
	if header == "" && k.live().anonymous {
		k.count(methodNone, resultOK)
		// One owner for each network: nothing else tells anonymous clients apart.
		return principal{Owner: session.Owner{Credential: session.CredentialAnonymous, Name: networkOf(clientOf(r)).String()}, role: grant.Viewer}, nil
	}
	if header == "" {
		k.count(methodNone, resultMissing)
		return principal{}, problem.New(problem.Unauthorized, "this server takes a bearer token").
			With("WWW-Authenticate", `Bearer realm="wavry-host"`)
	}
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	bears := strings.EqualFold(scheme, "Bearer")
	signed := bears && k.grants != nil && strings.Count(token, ".") == 2
	wait := k.nets.attempt(time.Now(), clientOf(r))
	// A network that has used up its attempts is refused unseen: an answer would tell whether the guess is right. A signature is not guessed, and
	// who shows a good grant is not kept out by who else is behind that address.
	if wait > 0 && (!signed || !k.nets.check(time.Now(), clientOf(r))) {
		return principal{}, k.block(wait)
	}
	method, result, why := methodToken, resultWrong, "the token is not right"
	if bears && wait <= 0 {
		got := sha256.Sum256([]byte(token))
		if l := k.live(); l.single && subtle.ConstantTimeCompare(got[:], l.token[:]) == 1 {
			k.count(methodToken, resultOK)
			return principal{Owner: session.Owner{Credential: session.CredentialOperatorToken, Name: "token"}, role: grant.Operator, hash: got}, nil
		}
		if p, ok := k.file.find(got); ok {
			p.remote = clientOf(r)
			result, _, err := p.stands(time.Now())
			k.count(methodToken, result)
			if err != nil {
				return principal{Owner: p.Owner}, err // whoever shows it has not guessed it
			}
			return p, nil
		}
	}
	var who principal
	if signed {
		g, err := k.grants.Verify(token)
		method = methodGrant
		if e, ok := errors.AsType[*grant.Error](err); ok {
			result, why, signed = string(e.Fault), strings.TrimPrefix(e.Error(), "grant: "), e.Signed
		} else if result, why = k.granted(g, clientOf(r)); result == resultOK {
			k.count(methodGrant, resultOK)
			return principal{Owner: ownerOf(g), role: g.Role, grant: &g}, nil
		} else {
			who.Owner = ownerOf(g)
		}
	}
	if !signed && wait > 0 {
		return principal{}, k.block(wait)
	}
	k.count(method, result)
	if !signed {
		k.nets.wrong(time.Now(), clientOf(r))
	}
	return who, invalid(problem.Shorten(why))
}

// ownerOf returns who owns what is opened by a grant.
func ownerOf(g grant.Grant) session.Owner {
	return session.Owner{Credential: session.CredentialGrant, Issuer: g.Issuer, Name: g.Subject}
}

// block refuses a network that has used up its attempts.
func (k *keeper) block(wait time.Duration) *problem.Error {
	k.count(methodNone, resultBlocked)
	return problem.New(problem.TooManyAttempts, "too many wrong tokens from your network").RetryAfter(wait)
}

// invalid refuses a credential that is no good, and says why.
func invalid(why string) *problem.Error {
	return problem.New(problem.Unauthorized, "%s", why).With("WWW-Authenticate", `Bearer realm="wavry-host", error="invalid_token"`)
}

// granted tells whether a verified grant is good here and now: resultOK, or what is wrong, with words for it.
func (k *keeper) granted(g grant.Grant, remote string) (result, why string) {
	if !comesFrom(g.Scope, remote) {
		return resultNetwork, "the grant is not good from your network"
	}
	if k.has(g) {
		return resultRevoked, "the grant was revoked"
	}
	return resultOK, ""
}

// comesFrom reports whether a credential may be used from a remote address.
func comesFrom(s grant.Scope, remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return s.Networks == nil || err == nil && s.From(at.Addr())
}

// stands reports whether a token of the file is good at a time, from where p comes, and for what it shows: resultOK, or what is wrong, why the
// session ends that it opened, and an error for the client.
func (p principal) stands(now time.Time) (result string, why session.EndReason, err error) {
	switch {
	case !p.until.IsZero() && !now.Before(p.until):
		return string(grant.Expired), session.EndExpired, invalid("the token has expired")
	case !comesFrom(p.scope, p.remote):
		return resultNetwork, session.EndRevoked, invalid("the token is not good from your network")
	case p.display != "" && !p.scope.Watches(p.display):
		return resultRevoked, session.EndRevoked, invalid("the token is not good for this display")
	}
	return resultOK, 0, nil
}

// certified tells who shows a client certificate that TLS has verified.
func (k *keeper) certified(r *http.Request) (principal, bool) {
	if k.certRole == "" || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || !k.live().guard.ambient(r) {
		return principal{}, false
	}
	chain := r.TLS.VerifiedChains[0]
	leaf, authority := chain[0], chain[len(chain)-1]
	name := leaf.Subject.CommonName
	if len(leaf.URIs) > 0 {
		name = leaf.URIs[0].String()
	} else if name == "" && len(leaf.DNSNames) > 0 {
		name = leaf.DNSNames[0]
	}
	if name == "" {
		name = leaf.SerialNumber.String()
	}
	owner := session.Owner{Credential: session.CredentialCertificate, Issuer: authority.Subject.String(), Name: bounded(name)}
	role := k.certRole
	for _, rule := range k.certRules {
		if rule.fits(owner, name) {
			role = grant.Role(rule.Role)
			break
		}
	}
	return principal{Owner: owner, role: role, chain: chain}, true
}
