package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash/maphash"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

const (
	// wrongBurst wrong tokens in a row are answered at once, then one in wrongEvery for each network. With
	// minTokenLength that is far from a guess, and slows nobody who mistypes.
	wrongBurst = 10
	wrongEvery = 2 * time.Second
	// A network that has used up its attempts may have so many signatures checked at once, then one in checkEvery. It takes some 0.1 ms each.
	checkBurst = 100
	checkEvery = 50 * time.Millisecond
	// wrongBuckets bounds the memory: networks share a bucket where their hashes do.
	wrongBuckets = 512
)

// keeper checks who asks: by the operator's token, the tokens of the file, a grant, or a client certificate.
type keeper struct {
	want   [sha256.Size]byte
	single bool       // there is an operator's token
	file   *tokenFile // nil without one
	grants *grant.Verifier
	revoked
	// certRole is what a verified client certificate makes of its owner; empty where none is asked for.
	certRole grant.Role
	count    func(method, result string)

	seed maphash.Seed
	mu   sync.Mutex // guards all following fields
	// owed is, for each bucket, when the attempts so far are paid for.
	owed [wrongBuckets]time.Time
	// checked is the same for the signatures that are checked in spite of them.
	checked [wrongBuckets]time.Time
}

// principal is who asks: the owner of what it opens.
type principal struct {
	session.Owner
	role  grant.Role
	grant *grant.Grant // nil without one
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

func newKeeper(token string) *keeper {
	return &keeper{want: sha256.Sum256([]byte(token)), single: token != "", seed: maphash.MakeSeed(), count: func(string, string) {}}
}

// admit tells who r comes from. A nil keeper takes everyone for the operator.
func (k *keeper) admit(r *http.Request) (principal, error) {
	if k == nil {
		return principal{role: grant.Operator}, nil
	}
	if p, ok := k.certified(r); ok && r.Header.Get("Authorization") == "" {
		k.count(methodCert, resultOK)
		return p, nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		k.count(methodNone, resultMissing)
		return principal{}, refuse(CodeUnauthorized, "this server takes a bearer token").
			with("WWW-Authenticate", `Bearer realm="wavry-host"`)
	}
	bucket := k.bucket(r.RemoteAddr)
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	bears := strings.EqualFold(scheme, "Bearer")
	signed := bears && k.grants != nil && strings.Count(token, ".") == 2
	wait := k.wait(bucket)
	// A network that has used up its attempts is refused unseen: an answer would tell whether the guess is right. A signature is not guessed, and
	// who shows a good grant is not kept out by who else is behind that address.
	if wait > 0 && (!signed || !k.check(bucket)) {
		return principal{}, k.block(wait)
	}
	method, result, why := methodToken, resultWrong, "the token is not right"
	if bears && wait <= 0 {
		got := sha256.Sum256([]byte(token))
		if k.single && subtle.ConstantTimeCompare(got[:], k.want[:]) == 1 {
			k.count(methodToken, resultOK)
			return principal{Owner: session.Owner{Credential: session.CredentialOperatorToken, Name: "token"}, role: grant.Operator}, nil
		}
		if p, ok := k.file.find(got); ok {
			k.count(methodToken, resultOK)
			return p, nil
		}
	}
	if signed {
		g, err := k.grants.Verify(token)
		method = methodGrant
		if e, ok := errors.AsType[*grant.Error](err); ok {
			result, why, signed = string(e.Fault), strings.TrimPrefix(e.Error(), "grant: "), e.Signed
		} else if result, why = k.granted(g, r.RemoteAddr); result == resultOK {
			k.count(methodGrant, resultOK)
			owner := session.Owner{Credential: session.CredentialGrant, Issuer: g.Issuer, Name: g.Subject}
			return principal{Owner: owner, role: g.Role, grant: &g}, nil
		}
	}
	if !signed && wait > 0 {
		return principal{}, k.block(wait)
	}
	k.count(method, result)
	if !signed {
		k.wrong(bucket)
	}
	return principal{}, invalid(shorten(why))
}

// block refuses a network that has used up its attempts.
func (k *keeper) block(wait time.Duration) *problem {
	k.count(methodNone, resultBlocked)
	return refuse(CodeTooManyAttempts, "too many wrong tokens from your network").with("Retry-After", seconds(wait))
}

// invalid refuses a credential that is no good, and says why.
func invalid(why string) *problem {
	return refuse(CodeUnauthorized, "%s", why).with("WWW-Authenticate", `Bearer realm="wavry-host", error="invalid_token"`)
}

// granted tells whether a verified grant is good here and now: resultOK, or what is wrong, with words for it.
func (k *keeper) granted(g grant.Grant, remote string) (result, why string) {
	if at, err := netip.ParseAddrPort(remote); err != nil || !g.From(at.Addr()) {
		return resultNetwork, "the grant is not good from your network"
	}
	if k.has(g) {
		return resultRevoked, "the grant was revoked"
	}
	return resultOK, ""
}

// certified tells who shows a client certificate that TLS has verified.
func (k *keeper) certified(r *http.Request) (principal, bool) {
	if k.certRole == "" || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
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
	owner := session.Owner{Credential: session.CredentialCertificate, Issuer: authority.Subject.String(), Name: shorten(name)}
	return principal{Owner: owner, role: k.certRole}, true
}

// bucket returns where the attempts of a remote address are counted: by IPv4 address or IPv6 network, since a subscriber
// has a whole /64.
func (k *keeper) bucket(remote string) int { return networkBucket(k.seed, remote) }

func networkBucket(seed maphash.Seed, remote string) int {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return int(maphash.String(seed, host) % wrongBuckets)
}

func (k *keeper) wait(bucket int) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return early(time.Now(), k.owed[bucket], wrongEvery, wrongBurst)
}

func (k *keeper) wrong(bucket int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owed[bucket] = later(time.Now(), k.owed[bucket], wrongEvery)
}

// check takes in a signature that is to be checked for a network without attempts, and tells whether it may be.
func (k *keeper) check(bucket int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if early(now, k.checked[bucket], checkEvery, checkBurst) > 0 {
		return false
	}
	k.checked[bucket] = later(now, k.checked[bucket], checkEvery)
	return true
}

// seconds returns d for a Retry-After header: whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
