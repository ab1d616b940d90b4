package grant

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer signs grants for tests.
type issuer struct {
	ed ed25519.PrivateKey
	ec *ecdsa.PrivateKey
}

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &issuer{ed, ec}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// set is the issuer's JWK set.
func (i *issuer) set() string {
	point, _ := i.ec.PublicKey.Bytes() // 4, x, y
	return fmt.Sprintf(`{"keys":[
		{"kty":"OKP","crv":"Ed25519","kid":"ed","use":"sig","alg":"EdDSA","x":%q},
		{"kty":"EC","crv":"P-256","kid":"ec","x":%q,"y":%q},
		{"kty":"RSA","kid":"rsa","n":"AQAB","e":"AQAB"},
		{"kty":"OKP","crv":"Ed25519","kid":"enc","use":"enc","x":"AA"}]}`,
		b64(i.ed.Public().(ed25519.PublicKey)), b64(point[1:33]), b64(point[33:]))
}

// sign makes a token of any header and payload.
func (i *issuer) sign(header, payload string) string {
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	var (
		sig []byte
		err error
	)
	if strings.Contains(header, "ES256") {
		sig, err = jwt.SigningMethodES256.Sign(text, i.ec)
	} else {
		sig, err = jwt.SigningMethodEdDSA.Sign(text, crypto.Signer(i.ed))
	}
	if err != nil {
		panic(err)
	}
	return text + "." + b64(sig)
}

const edHeader = `{"alg":"EdDSA","kid":"ed","typ":"JWT"}`

// claims are good ones, with changes; a nil one leaves a claim out.
func claims(changes map[string]any) string {
	now := time.Now()
	c := map[string]any{
		"iss": "https://issuer.example", "aud": "host7", "sub": "ann", "jti": "j1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "wavry": map[string]any{"role": "viewer"},
	}
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func wavry(fields string) map[string]any { return map[string]any{"wavry": json.RawMessage(fields)} }

func newVerifier(tb testing.TB, i *issuer) *Verifier {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(i.set()), 0o600); err != nil {
		tb.Fatal(err)
	}
	v, err := New(slog.New(slog.DiscardHandler), Config{
		KeysFile: file, Audience: "host7",
		Issuer: "https://issuer.example", MaxRole: Operator,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func TestGrantIsReadWhole(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i)
	for _, header := range []string{edHeader, `{"alg":"ES256","kid":"ec"}`} {
		g, err := v.Verify(i.sign(header, claims(map[string]any{
			"aud": []string{"other", "host7"},
			"wavry": json.RawMessage(`{"role":"controller","displays":["x11:0"],"networks":["192.0.2.7/24","2001:db8::/32"],` +
				`"max_bitrate":4000000,"max_sessions":5,"once":true,"session":"s1"}`),
		})))
		if err != nil {
			t.Fatal(err)
		}
		if g.ID != "j1" || g.Subject != "ann" || g.Role != Controller || g.Session != "s1" ||
			g.MaxBitrate != 4e6 || g.MaxSessions != 5 || !g.Once ||
			g.Expires.Sub(g.Issued) != time.Hour {
			t.Errorf("%s: %+v", header, g)
		}
		if !g.Watches("x11:0") || g.Watches("x11:1") {
			t.Error("displays are not those of the grant")
		}
		for addr, want := range map[string]bool{
			"192.0.2.99": true, "192.0.3.1": false, "::ffff:192.0.2.1": true, "2001:db8::1": true, "2001:db9::1": false,
		} {
			if got := g.From(netip.MustParseAddr(addr)); got != want {
				t.Errorf("from %s: %v; want %v", addr, got, want)
			}
		}
	}
	g, err := v.Verify(i.sign(edHeader, claims(wavry(`{"role":"viewer","displays":["a","*"]}`))))
	if err != nil || !g.Watches("anything") || !g.From(netip.MustParseAddr("203.0.113.1")) {
		t.Errorf("without limits: %+v, %v", g, err)
	}
	g, err = v.Verify(i.sign(edHeader, claims(wavry(`{"role":"viewer","displays":[],"networks":[]}`))))
	if err != nil || g.Watches("anything") || g.From(netip.MustParseAddr("203.0.113.1")) {
		t.Errorf("empty lists allow something: %+v, %v", g, err)
	}
}

func TestWrongTokens(t *testing.T) {
	i := newIssuer(t)
	stranger := newIssuer(t)
	v := newVerifier(t, i)
	good := i.sign(edHeader, claims(nil))
	if _, err := v.Verify(good); err != nil {
		t.Fatal(err)
	}
	hmac := func(secret []byte, kid string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": "ann", "aud": "host7",
			"exp": time.Now().Unix() + 60,
		})
		token.Header["kid"] = kid
		s, err := token.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	point, _ := i.ec.PublicKey.Bytes()
	parts := strings.Split(good, ".")
	head := func(h string) string { return i.sign(h, claims(nil)) }
	body := func(c map[string]any) string { return i.sign(edHeader, claims(c)) }
	at := func(claim string, d time.Duration) string {
		return body(map[string]any{claim: time.Now().Add(d).Unix()})
	}
	raw := claims(nil)
	for _, c := range []struct {
		name, token string
		want        Fault
	}{
		{"nothing", "", Malformed},
		{"dots", "..", Malformed},
		{"one part", "eyJ", Malformed},
		{"four parts", good + ".x", Malformed},
		{"a blank", good + " ", Malformed},
		{"padding", good + "=", Malformed},
		{"not JSON", i.sign(edHeader, "hello"), Malformed},
		{"a list", i.sign(edHeader, "[]"), Malformed},
		{"oversized", i.sign(edHeader, claims(map[string]any{"x": strings.Repeat("x", maxToken)})), Malformed},
		{"deep", i.sign(edHeader, `{"x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+"}"), Malformed},

		{"none", b64([]byte(`{"alg":"none","kid":"ed"}`)) + "." + parts[1] + ".", Algorithm},
		{"none with a signature", head(`{"alg":"none","kid":"ed"}`), Algorithm},
		{"NoNe", head(`{"alg":"NoNe","kid":"ed"}`), Algorithm},
		{"no algorithm", head(`{"kid":"ed"}`), Algorithm},
		{"HMAC with the Ed25519 key", hmac(i.ed.Public().(ed25519.PublicKey), "ed"), Algorithm},
		{"HMAC with the P-256 key", hmac(point, "ec"), Algorithm},
		{"RS256", head(`{"alg":"RS256","kid":"rsa"}`), Algorithm},
		{"ES384", head(`{"alg":"ES384","kid":"ec"}`), Algorithm},
		{"EdDSA with the other's key", head(`{"alg":"EdDSA","kid":"ec"}`), Algorithm},
		{"ES256 with the other's key", head(`{"alg":"ES256","kid":"ed"}`), Algorithm},

		{"no kid", head(`{"alg":"EdDSA"}`), UnknownKey},
		{"a number for kid", head(`{"alg":"EdDSA","kid":1}`), UnknownKey},
		{"wrong kid", head(`{"alg":"EdDSA","kid":"../ed"}`), UnknownKey},
		{"key for encryption", head(`{"alg":"EdDSA","kid":"enc"}`), UnknownKey},
		{"crit", head(`{"alg":"EdDSA","kid":"ed","crit":["exp"]}`), Malformed},
		{"own key", head(`{"alg":"EdDSA","kid":"ed","jwk":{}}`), Malformed},
		{"own address", head(`{"alg":"EdDSA","kid":"ed","jku":"https://evil.example"}`), Malformed},
		{"another type", head(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`), Malformed},
		{"algorithm twice", head(`{"alg":"EdDSA","kid":"ed","alg":"EdDSA"}`), Malformed},

		{"another's signature", stranger.sign(edHeader, claims(nil)), Signature},
		{"another's ES256", stranger.sign(`{"alg":"ES256","kid":"ec"}`, claims(nil)), Signature},
		{"no signature", parts[0] + "." + parts[1] + ".", Signature},
		{"short signature", parts[0] + "." + parts[1] + "." + parts[2][:40], Signature},
		{
			"changed claims", parts[0] + "." + b64([]byte(claims(map[string]any{"sub": "bob"}))) + "." + parts[2],
			Signature,
		},

		{"expired", at("exp", -time.Minute), Expired},
		{"no expiry", body(map[string]any{"exp": nil}), Malformed},
		{"expiry as text", body(map[string]any{"exp": "tomorrow"}), Malformed},
		// It overflows.
		{"expiry beyond time", i.sign(edHeader, strings.Replace(raw, `"exp":`, `"exp":1e300,"was":`, 1)), Expired},
		{"nbf beyond time", i.sign(edHeader, strings.Replace(raw, `"exp":`, `"nbf":1e300,"exp":`, 1)), Malformed},
		{"negative expiry", body(map[string]any{"exp": -1}), Expired},
		{"lives too long", at("exp", 25*time.Hour), Malformed},
		{"not yet valid", at("nbf", time.Minute), Early},
		{"issued in the future", at("iat", time.Minute), Early},
		{"not issued", body(map[string]any{"iat": nil}), Malformed},
		{"expires before it is issued", body(map[string]any{
			"iat": time.Now().Unix(),
			"exp": time.Now().Unix() - 5,
		}), Malformed},

		{"wrong audience", body(map[string]any{"aud": "host8"}), Audience},
		{"audience in another case", body(map[string]any{"aud": "HOST7"}), Audience},
		{"no audience", body(map[string]any{"aud": nil}), Malformed},
		{"wrong issuer", body(map[string]any{"iss": "https://evil.example"}), Audience},
		{"no issuer", body(map[string]any{"iss": nil}), Malformed},
		{"no subject", body(map[string]any{"sub": nil}), Malformed},
		{"a number for subject", body(map[string]any{"sub": 7}), Malformed},
		{"subject with a line break", body(map[string]any{"sub": "a\nb"}), Malformed},
		{"long subject", body(map[string]any{"sub": strings.Repeat("x", 129)}), Malformed},
		{"no id", body(map[string]any{"jti": ""}), Malformed},

		{"claim twice", i.sign(edHeader, strings.Replace(raw, `"sub":"ann"`, `"sub":"ann","sub":"bob"`, 1)), Malformed},
		{"claim twice, escaped", i.sign(edHeader, strings.Replace(raw, `"sub":"ann"`,
			`"sub":"ann","s\u0075b":"bob"`, 1)), Malformed},
		{"role twice", i.sign(edHeader, strings.Replace(raw, `"role":"viewer"`,
			`"role":"viewer","role":"operator"`, 1)), Malformed},
		{"role in two cases", body(wavry(`{"role":"viewer","ROLE":"operator"}`)), Malformed},
		{"an id that turns what stands behind it around", body(map[string]any{"jti": "j1\u202e"}), Malformed},
		{"a subject with a blank of another kind", body(map[string]any{"sub": "ann\u2003b"}), Malformed},
		{"an empty session", body(wavry(`{"role":"viewer","session":""}`)), Malformed},
		{"no scope", body(map[string]any{"wavry": nil}), Malformed},
		{"scope as text", body(map[string]any{"wavry": "viewer"}), Malformed},
		{"no role", body(wavry(`{}`)), Malformed},
		{"unknown role", body(wavry(`{"role":"root"}`)), Malformed},
		{"role as a list", body(wavry(`{"role":["viewer"]}`)), Malformed},
		{"misspelt limit", body(wavry(`{"role":"viewer","network":["192.0.2.0/24"]}`)), Malformed},
		{"null for a limit", body(wavry(`{"role":"viewer","networks":null}`)), Malformed},
		{"address for a network", body(wavry(`{"role":"viewer","networks":["192.0.2.1"]}`)), Malformed},
		{"mapped network", body(wavry(`{"role":"viewer","networks":["::ffff:192.0.2.0/120"]}`)), Malformed},
		{"rate 0", body(wavry(`{"role":"viewer","max_bitrate":0}`)), Malformed},
		{"broken rate", body(wavry(`{"role":"viewer","max_bitrate":1.5}`)), Malformed},
		{"no sessions", body(wavry(`{"role":"viewer","max_sessions":0}`)), Malformed},
		{"too many sessions", body(wavry(`{"role":"viewer","max_sessions":10001}`)), Malformed},
		{"sessions in words", body(wavry(`{"role":"viewer","max_sessions":"3"}`)), Malformed},
		{"operator with sessions", body(wavry(`{"role":"operator","max_sessions":3}`)), Malformed},
		{"huge rate", body(wavry(`{"role":"viewer","max_bitrate":1e30}`)), Malformed},
		{"operator of a display", body(wavry(`{"role":"operator","displays":["x11:0"]}`)), Malformed},
		{"operator of no display", body(wavry(`{"role":"operator","displays":[]}`)), Malformed},
		{"operator with a rate", body(wavry(`{"role":"operator","max_bitrate":1000}`)), Malformed},
		{"metrics of a session", body(wavry(`{"role":"metrics","session":"s1"}`)), Malformed},
		{"long issuer", body(map[string]any{"iss": strings.Repeat("x", 257)}), Audience},
		{"operator once", body(wavry(`{"role":"operator","once":true}`)), Malformed},
	} {
		_, err := v.Verify(c.token)
		wrong, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%s: %v; want an Error", c.name, err)
			continue
		}
		if wrong.Fault != c.want {
			t.Errorf("%s: %s (%v); want %s", c.name, wrong.Fault, wrong, c.want)
		}
		// Without a key nobody can make tokens with these faults, by trying.
		if forged := []Fault{Algorithm, UnknownKey, Signature}; wrong.Signed && slices.Contains(forged, wrong.Fault) {
			t.Errorf("%s: counts as signed", c.name)
		}
		if late := []Fault{Expired, Early, Audience}; !wrong.Signed && slices.Contains(late, wrong.Fault) {
			t.Errorf("%s: counts as forged", c.name)
		}
	}
}

func TestClocksMayBeOffByTheLeeway(t *testing.T) {
	i := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, i)
		now := time.Now()
		token := i.sign(edHeader, claims(map[string]any{
			"iat": now.Add(29 * time.Second).Unix(), "nbf": now.Add(29 * time.Second).Unix(),
			"exp": now.Add(time.Minute).Unix(),
		}))
		if _, err := v.Verify(token); err != nil {
			t.Errorf("29 s early: %v", err)
		}
		time.Sleep(time.Minute + 29*time.Second)
		if _, err := v.Verify(token); err != nil {
			t.Errorf("29 s late: %v", err)
		}
		time.Sleep(2 * time.Second)
		if _, err := v.Verify(token); err == nil {
			t.Error("31 s late: it is taken")
		}
	})
}

func TestOnceIsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, newIssuer(t))
		grant := func(n int) Grant { return Grant{ID: fmt.Sprint(n), Once: true, Expires: time.Now().Add(time.Minute)} }
		if err := v.Spend(grant(0)); err != nil {
			t.Fatal(err)
		}
		if e, _ := errors.AsType[*Error](v.Spend(grant(0))); e == nil || e.Fault != Replayed {
			t.Errorf("the second time: %v", e)
		}
		v.Return(grant(0))
		if err := v.Spend(grant(0)); err != nil {
			t.Errorf("after a failure: %v", err)
		}
		for n := 1; n < maxSpent; n++ {
			if err := v.Spend(grant(n)); err != nil {
				t.Fatal(err)
			}
		}
		if e, _ := errors.AsType[*Error](v.Spend(grant(maxSpent))); e == nil || e.Fault != Busy {
			t.Error("a full memory takes another grant, and so forgets one")
		}
		time.Sleep(2 * time.Minute)
		if err := v.Spend(grant(maxSpent)); err != nil || len(v.spent.used) != 1 {
			t.Errorf("after all have expired: %v, %d remembered", err, len(v.spent.used))
		}
		many := Grant{ID: "m"}
		for range 2 {
			if err := v.Spend(many); err != nil {
				t.Errorf("a grant for many sessions was spent: %v", err)
			}
		}
	})
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "one of the two"},
		{Config{KeysFile: "a", KeysURL: "https://b/"}, "one of the two"},
		{Config{KeysFile: "a"}, "audience is empty"},
		{Config{KeysURL: "http://b/", Audience: "h"}, "not https"},
		{Config{KeysURL: "https://u:p@b/", Audience: "h"}, "not https"},
		{Config{KeysFile: "a", Audience: "h", MaxLifetime: -1}, "lifetime"},
		{Config{KeysFile: "a", Audience: "h", MaxStale: -1}, "staleness"},
	} {
		if err := c.cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %q", c.cfg, err, c.want)
		}
	}
	if err := (Config{KeysURL: "https://b/k", Audience: "h"}).Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b)
	v := newVerifier(b, i)
	for _, header := range []string{edHeader, `{"alg":"ES256","kid":"ec"}`} {
		token := i.sign(header, claims(nil))
		b.Run(header[8:13], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzGrant holds that nothing panics, and that what is taken is within its bounds. The fuzzed payload is signed, so
// that what comes after the signature is reached.
//
//fuzz:5000x
func FuzzGrant(f *testing.F) {
	i := newIssuer(f)
	v := newVerifier(f, i)
	f.Add(edHeader, claims(nil))
	f.Add(`{"alg":"ES256","kid":"ec"}`, claims(wavry(`{"role":"operator","displays":["*"],"networks":["::/0"]}`)))
	f.Add(`{"alg":"none"}`, `{}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		for _, token := range []string{header + "." + payload + ".", i.sign(header, payload)} {
			g, err := v.Verify(token)
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			if _, err := ParseRole(string(g.Role)); err != nil || g.ID == "" || g.Subject == "" ||
				len(g.Subject) > maxName ||
				g.Expires.Before(time.Now().Add(-Leeway-time.Second)) ||
				g.Expires.Sub(g.Issued) > 24*time.Hour || g.MaxBitrate < 0 {
				t.Fatalf("taken: %+v", g)
			}
		}
	})
}

// Clocks differ by half a minute, in either direction.
func TestClocksMayDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := newVerifier(t, i)
		now := time.Now().Unix()
		for _, c := range []struct {
			name          string
			nbf, iat, exp int64 // after now
			want          Fault // empty for none
		}{
			{"ours", 0, 0, 60, ""},
			{"theirs is ahead", 30, 30, 90, ""},
			{"theirs is too far ahead", 0, 31, 90, Early},
			{"not before is too far ahead", 31, 0, 90, Early},
			{"theirs is behind", -90, -90, -29, ""},
			{"theirs is too far behind", -90, -90, -30, Expired},
		} {
			_, err := v.Verify(i.sign(edHeader, claims(map[string]any{
				"nbf": now + c.nbf, "iat": now + c.iat,
				"exp": now + c.exp,
			})))
			got := Fault("")
			if e, ok := errors.AsType[*Error](err); ok {
				got = e.Fault
			}
			if got != c.want {
				t.Errorf("%s: %v; want %q", c.name, err, c.want)
			}
		}
	})
}
