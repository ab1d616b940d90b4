package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// loginTimeout bounds a login as a whole.
	loginTimeout = 20 * time.Second
	// maxReply bounds the reply to a login, in bytes.
	maxReply = 64 << 10
	// renewBefore is how long before its end a token is replaced, at the next connection.
	renewBefore = 5 * time.Minute
	// hiddenText replaces a secret in a gateway's text.
	hiddenText = "(hidden)"
)

// grant is a token with the name of its account, which is empty if it is not known.
type grant struct {
	token, name string
	expires     time.Time // zero if it is not known
}

// credentials provides tokens. Run's goroutine owns it.
type credentials struct {
	cfg    Config
	client func() *http.Client
	login  string // URL of the login

	held grant
	// digest is the digest of the file when it was last used.
	digest [sha256.Size]byte
}

func (c *credentials) path() string {
	if c.cfg.AccountFile != "" {
		return c.cfg.AccountFile
	}
	return c.cfg.TokenFile
}

// read reads the file. A changed file invalidates the current token.
func (c *credentials) read() ([]byte, error) {
	data, err := c.cfg.ReadFile(c.path())
	if err != nil {
		return nil, failed(ClassCredentials, "read credentials: %w", err)
	}
	if digest := sha256.Sum256(data); digest != c.digest {
		c.held, c.digest = grant{}, digest
	}
	return data, nil
}

// changed reports whether the file has changed since it was last used.
func (c *credentials) changed() bool {
	data, err := c.cfg.ReadFile(c.path())
	return err == nil && sha256.Sum256(data) != c.digest
}

// drop forgets a rejected token.
func (c *credentials) drop() { c.held = grant{} }

// get returns a token: that in the file, the current one, or that of a new login.
func (c *credentials) get(ctx context.Context) (grant, error) {
	data, err := c.read()
	if err != nil {
		return grant{}, err
	}
	if c.cfg.TokenFile != "" {
		return c.fromFile(data)
	}
	if c.held.token != "" && (c.held.expires.IsZero() || time.Until(c.held.expires) > renewBefore) {
		return c.held, nil
	}
	c.held, err = c.fromAccount(ctx, data)
	return c.held, err
}

func (c *credentials) fromFile(data []byte) (grant, error) {
	traits := c.cfg.Dialect.Traits()
	g := grant{token: strings.TrimSpace(string(data)), name: strings.ToLower(c.cfg.Username)}
	if !traits.CheckToken(g.token) {
		return grant{}, failed(ClassCredentials, "what %s holds is not a token of this gateway", c.cfg.TokenFile)
	}
	if g.name == "" && traits.NameOf != nil {
		g.name = traits.NameOf(g.token)
	}
	return g, nil
}

// account is the content of an account file.
type account struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

func (c *credentials) fromAccount(ctx context.Context, data []byte) (grant, error) {
	var a account
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil || a.Email == "" || a.Password == "" {
		// The decoder's error is not shown, because it may quote the file.
		return grant{}, failed(ClassCredentials,
			`what %s holds is not of the form {"email":"…","password":"…"}`, c.cfg.AccountFile)
	}
	body, err := json.Marshal(a)
	if err != nil {
		return grant{}, failed(ClassCredentials, "encode account: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.login, bytes.NewReader(body))
	if err != nil {
		return grant{}, failed(ClassProtocol, "log in: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.cfg.Origin != "" {
		r.Header.Set("Origin", c.cfg.Origin)
	}
	client := c.client()
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	if err != nil {
		return grant{}, failed(dialClass(err), "log in: %w", err)
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return grant{}, failed(dialClass(err), "log in: read reply: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return grant{}, refusedLogin(response.StatusCode, reply, a.Password)
	}
	return c.granted(reply)
}

// granted parses the reply to a login.
func (c *credentials) granted(reply []byte) (grant, error) {
	var in struct {
		Token    string `json:"token"`
		Username string `json:"username"`
		TOTP     bool   `json:"totp_required"`
		Session  struct {
			Expires string `json:"expires_at"`
		} `json:"session"`
	}
	if err := json.Unmarshal(reply, &in); err != nil {
		return grant{}, failed(ClassProtocol, "log in: the reply is not that of a gateway")
	}
	if in.TOTP {
		return grant{}, failed(ClassCredentials,
			"log in: the account asks for a second factor, which a host does not have")
	}
	if !c.cfg.Dialect.Traits().CheckToken(in.Token) || in.Username != "" && !isName(in.Username) {
		return grant{}, failed(ClassProtocol, "log in: the reply has no token")
	}
	g := grant{token: in.Token, name: strings.ToLower(in.Username)}
	if g.name == "" {
		g.name = strings.ToLower(c.cfg.Username)
	}
	if at, err := time.Parse(time.RFC3339, in.Session.Expires); err == nil {
		g.expires = at
	}
	return g, nil
}

// refusedLogin returns the error for a reply other than 200.
func refusedLogin(status int, reply []byte, password string) error {
	var in struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(reply, &in) // it may be the page of a proxy
	text := tidy(strings.ReplaceAll(in.Error, password, hiddenText))
	class := ClassProtocol
	switch {
	case status == http.StatusBadRequest, status == http.StatusUnauthorized:
		class = ClassCredentials
	case status == http.StatusForbidden:
		class = ClassSuspended
	case status == http.StatusTooManyRequests:
		class = ClassRate
	case status >= 500 && status != http.StatusNotImplemented:
		class = ClassServer
	}
	if text != "" {
		return failed(class, "log in: %s: %q", statusText(status), text)
	}
	return failed(class, "log in: %s", statusText(status))
}

func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", status, http.StatusText(status)))
}
