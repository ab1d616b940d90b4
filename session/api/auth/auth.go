package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

// Settings are what can change while the server runs.
type Settings struct {
	token     [sha256.Size]byte
	hasToken  bool
	anonymous bool
}

// NewSettings returns the settings with the operator's token, which may be empty. anonymous reports whether clients
// without a credential are viewers.
func NewSettings(token string, anonymous bool) Settings {
	return Settings{token: sha256.Sum256([]byte(token)), hasToken: token != "", anonymous: anonymous}
}

// limiter limits the attempts of networks; see edge.Limiter.
type limiter interface {
	Attempt(now time.Time, remote string) time.Duration
	Wrong(now time.Time, remote string)
	Signature(now time.Time, remote string) bool
	Valid(now time.Time, remote string)
}

// Environment is what an Authenticator asks of the server.
type Environment struct {
	// Settings returns the current settings.
	Settings func() Settings
	// Ambient reports whether a request may use a client certificate; see edge.Policy.
	Ambient func(*http.Request) bool
	// Count counts an authentication, by what the client showed and the result.
	Count func(method, result string)
}

// Authenticator checks credentials.
type Authenticator struct {
	cfg     Config
	env     Environment
	limiter limiter
	tokens  *tokenFile // nil without a file
	revoked *revocations
	clients *clients // nil without client certificates
	viewers viewers
}

// New reads the files of cfg.
func New(cfg Config, env Environment, l limiter, log *slog.Logger) (*Authenticator, error) {
	a := &Authenticator{
		cfg: cfg, env: env, limiter: l, viewers: viewers{tokens: make(map[[sha256.Size]byte]Principal)},
	}
	path, lifetime := "", time.Duration(0)
	if cfg.Grants != nil {
		path, lifetime = cfg.RevocationsFile, cfg.Grants.Outlived()
	}
	var err error
	if a.revoked, err = newRevocations(path, lifetime, time.Now()); err != nil {
		return nil, fmt.Errorf("api: revocations: %w", err)
	}
	if cfg.TokensFile != "" {
		if a.tokens, err = newTokenFile(cfg.TokensFile, log); err != nil {
			return nil, err
		}
	}
	if cfg.RequestsCertificates() {
		if a.clients, err = newClients(cfg.ClientCA, cfg.ClientRevoked, cfg.ClientAuth, log); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// ClientTLS returns the function that adds the request for client certificates to the TLS configuration of a
// handshake; nil if clients are not asked.
func (a *Authenticator) ClientTLS() func(*tls.Config) *tls.Config {
	if a.clients == nil {
		return nil
	}
	return a.clients.config
}

// CountGrant counts a grant that cannot be used.
func (a *Authenticator) CountGrant(fault grant.Fault) { a.env.Count(methodGrant, string(fault)) }

// Identifies reports whether Authenticate can say who r comes from: r shows a credential, or needs none.
func (a *Authenticator) Identifies(r *http.Request) bool {
	_, certified := a.certified(r)
	return certified || a.env.Settings().anonymous || r.Header.Get("Authorization") != ""
}

// Authenticate returns the principal of r. If its credential is known but not valid, Authenticate returns the error,
// and the owner without a role for the audit log.
func (a *Authenticator) Authenticate(r *http.Request) (Principal, error) {
	p, err := a.authenticate(r)
	if err == nil && p.Credential != session.CredentialAnonymous {
		a.limiter.Valid(time.Now(), edge.ClientOf(r))
	}
	return p, err
}

func (a *Authenticator) authenticate(r *http.Request) (Principal, error) {
	p := PrincipalOf(r.Context())
	if p.vouched {
		return p, nil
	}
	switch p.Credential {
	case session.CredentialLocal: // the listener of the connection has it from the kernel
		a.env.Count(methodLocal, resultOK)
		return p, nil
	case session.CredentialFleet: // the agent has it from the NATS server
		a.env.Count(methodFleet, resultOK)
		return p, nil
	}
	if len(r.Header.Values("Authorization")) > 1 {
		// A proxy in front may check another one than this server does.
		return Principal{}, invalid("there is more than one Authorization header")
	}
	header := r.Header.Get("Authorization")
	if header != "" {
		return a.bearer(r, header)
	}
	if p, ok := a.certified(r); ok {
		return a.certificate(p)
	}
	if a.env.Settings().anonymous {
		a.env.Count(methodNone, resultOK)
		// All anonymous clients of a network are one owner, because nothing distinguishes them.
		owner := session.Owner{
			Credential: session.CredentialAnonymous, Name: edge.Network(edge.ClientOf(r)).String(),
		}
		return Principal{Owner: owner, Role: grant.Viewer}, nil
	}
	a.env.Count(methodNone, resultMissing)
	return Principal{}, problem.New(problem.Unauthorized, "this server requires a bearer token").
		With("WWW-Authenticate", `Bearer realm="wavry-host"`)
}

// certificate checks that the certificate of p is still valid: a connection may outlive it.
func (a *Authenticator) certificate(p Principal) (Principal, error) {
	why, err := a.clients.valid(p.chain, time.Now())
	if err == nil {
		a.env.Count(methodCert, resultOK)
		return p, nil
	}
	result := resultRevoked
	if why == session.EndExpired {
		result = string(grant.Expired)
	}
	a.env.Count(methodCert, result)
	return Principal{Owner: p.Owner}, err
}

// bearer checks a token or a grant.
func (a *Authenticator) bearer(r *http.Request, header string) (Principal, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	isBearer := strings.EqualFold(scheme, "Bearer")
	isGrant := isBearer && a.cfg.Grants != nil && strings.Count(token, ".") == 2
	remote := edge.ClientOf(r)
	wait := a.limiter.Attempt(time.Now(), remote)
	// A network that has used up its attempts is refused without a check, because the answer would disclose whether
	// the guess is right. A signature cannot be guessed. So a client with a valid grant is not locked out by others
	// behind the same address.
	if wait > 0 && (!isGrant || !a.limiter.Signature(time.Now(), remote)) {
		return Principal{}, a.block(wait)
	}
	if isBearer && wait <= 0 {
		if p, known, err := a.token(token, remote); known {
			return p, err
		}
	}
	if isGrant {
		p, result, signed, err := a.grant(token, remote)
		if !signed && wait > 0 {
			return Principal{}, a.block(wait)
		}
		a.env.Count(methodGrant, result)
		if !signed {
			a.limiter.Wrong(time.Now(), remote)
		}
		return p, err
	}
	a.env.Count(methodToken, resultWrong)
	a.limiter.Wrong(time.Now(), remote)
	return Principal{}, invalid("the token is not right")
}

// token checks a token. known reports whether there is such a token.
func (a *Authenticator) token(token, remote string) (p Principal, known bool, err error) {
	hash := sha256.Sum256([]byte(token))
	if s := a.env.Settings(); s.hasToken && subtle.ConstantTimeCompare(hash[:], s.token[:]) == 1 {
		a.env.Count(methodToken, resultOK)
		owner := session.Owner{Credential: session.CredentialOperatorToken, Name: "token"}
		return Principal{Owner: owner, Role: grant.Operator, hash: hash}, true, nil
	}
	if p, known = a.viewers.find(hash); known {
		a.env.Count(methodView, resultOK)
		return p, true, nil
	}
	p, known = a.tokens.find(hash)
	if !known {
		return Principal{}, false, nil
	}
	p.remote = remote
	result, _, err := p.valid(time.Now())
	a.env.Count(methodToken, result)
	if err != nil {
		return Principal{Owner: p.Owner}, true, err // not a wrong attempt: the client has not guessed the token
	}
	return p, true, nil
}

// grant checks a grant. signed reports whether an accepted key has signed it.
func (a *Authenticator) grant(token, remote string) (p Principal, result string, signed bool, err error) {
	g, err := a.cfg.Grants.Verify(token)
	if e, ok := errors.AsType[*grant.Error](err); ok {
		why := problem.Shorten(strings.TrimPrefix(e.Error(), "grant: "))
		return Principal{}, string(e.Fault), e.Signed, invalid(why)
	}
	owner := session.Owner{Credential: session.CredentialGrant, Issuer: g.Issuer, Name: g.Subject}
	switch {
	case !allowed(g.Scope, remote):
		return Principal{Owner: owner}, resultNetwork, true, invalid("the grant is not valid from your network")
	case a.revoked.has(g):
		return Principal{Owner: owner}, resultRevoked, true, invalid("the grant was revoked")
	}
	return Principal{Owner: owner, Role: g.Role, Grant: &g}, resultOK, true, nil
}

// block refuses a network that has used up its attempts.
func (a *Authenticator) block(wait time.Duration) *problem.Error {
	a.env.Count(methodNone, resultBlocked)
	return problem.New(problem.TooManyAttempts, "too many wrong tokens from your network").RetryAfter(wait)
}

// certified returns the principal of a client certificate that TLS has verified.
func (a *Authenticator) certified(r *http.Request) (Principal, bool) {
	if a.clients == nil || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || !a.env.Ambient(r) {
		return Principal{}, false
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
	owner := session.Owner{
		Credential: session.CredentialCertificate, Issuer: authority.Subject.String(), Name: bounded(name),
	}
	role := roleOf(leaf, owner.Issuer, a.cfg.ClientRules, a.cfg.ClientRole)
	return Principal{Owner: owner, Role: role, chain: chain}, true
}

// Reread makes the next use of each file of credentials read it again, even if it does not look changed.
func (a *Authenticator) Reread() {
	if a.tokens != nil {
		a.tokens.mu.Lock()
		a.tokens.files.Again()
		a.tokens.mu.Unlock()
	}
	if a.clients != nil {
		a.clients.mu.Lock()
		a.clients.files.Again()
		a.clients.mu.Unlock()
	}
}
