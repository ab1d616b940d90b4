package grant

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/api/watched"
)

func TestParseSet(t *testing.T) {
	i := newIssuer(t)
	good := i.set()
	set, err := parseSet([]byte(good))
	if err != nil || len(set) != 2 || set["ed"].alg != algEdDSA || set["ec"].alg != algES256 {
		t.Fatalf("%v, %v", set, err)
	}
	if set, err := parseSet([]byte(`{"keys":[]}`)); err != nil || len(set) != 0 {
		t.Errorf("no keys: %v, %v", set, err)
	}
	off := b64(make([]byte, 32))
	for _, c := range []struct{ text, want string }{
		{"", "in JSON"},
		{"[]", "in JSON"},
		{"{}", `has no "keys"`},
		{strings.Repeat(" ", maxSet) + good, "more than"},
		{`{"keys":[` + strings.Repeat("{},", maxKeys) + "{}]}", "the limit is"},
		{strings.Replace(good, `"use":"sig"`, `"d":"AA"`, 1), "private"},
		{strings.Replace(good, `"kid":"ed",`, "", 1), "has no kid"},
		{strings.Replace(good, `"kid":"ec"`, `"kid":"ed"`, 1), "two keys"},
		{strings.Replace(good, `"alg":"EdDSA"`, `"alg":"HS256"`, 1), "names the algorithm"},
		{`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AA"}]}`, "not an Ed25519 key"},
		{`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}`, "not those of a P-256 key"},
		{`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"` + off + `","y":"` + off + `"}]}`, "no point of P-256"},
	} {
		if _, err := parseSet([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v; want %q", c.text, err, c.want)
		}
	}
}

func TestKeysFollowTheirFile(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, i)
		before, after := i.sign(edHeader, claims(nil)), other.sign(edHeader, claims(nil))
		replace := func(text string) {
			if err := os.WriteFile(v.issuers[0].cfg.KeysFile, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(watched.Every)
			v.issuers[0].keys.find("")
			time.Sleep(watched.Settle)
		}
		if _, err := v.Verify(before); err != nil {
			t.Fatal(err)
		}
		replace("broken")
		if _, err := v.Verify(before); err != nil {
			t.Errorf("a broken file took the keys away: %v", err)
		}
		replace(other.set() + "\n")
		if _, err := v.Verify(before); err == nil {
			t.Error("the old key is still good")
		}
		if _, err := v.Verify(after); err != nil {
			t.Errorf("the new key: %v", err)
		}
	})
}

// remote returns a Verifier whose address answers as answer says, and counts.
func remote(t *testing.T, answer func(n int) (string, error)) (v *Verifier, asked *atomic.Int32) {
	t.Helper()
	v, err := New(slog.New(slog.DiscardHandler), Config{
		KeysURL:  "https://keys.example/jwks",
		Audience: "host7", Issuer: "https://issuer.example", MaxRole: Operator,
	})
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	v.issuers[0].keys.fetch = func(context.Context) ([]byte, error) {
		text, err := answer(int(asked.Add(1)))
		return []byte(text), err
	}
	return v, asked
}

func TestUnknownKeysAskAtMostOnceAMinute(t *testing.T) {
	i := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		var old atomic.Value
		old.Store(`{"keys":[]}`)
		v, asked := remote(t, func(int) (string, error) { return old.Load().(string), nil })
		go func() { _ = v.Run(t.Context()) }()
		synctest.Wait()
		token := i.sign(edHeader, claims(nil))
		if _, err := v.Verify(token); err == nil {
			t.Fatal("taken without a key")
		}
		synctest.Wait()
		if asked.Load() != 2 {
			t.Fatalf("asked %d times; want once at the start and once for the unknown key", asked.Load())
		}
		old.Store(i.set()) // rotated right after
		for range 590 {
			time.Sleep(100 * time.Millisecond)
			_, _ = v.Verify(token)
		}
		synctest.Wait()
		if asked.Load() != 2 {
			t.Errorf("asked %d times within a minute of made-up keys; want 2", asked.Load())
		}
		time.Sleep(time.Second)
		_, _ = v.Verify(token)
		synctest.Wait()
		if _, err := v.Verify(token); err != nil || asked.Load() != 3 {
			t.Errorf("after the key was published: %v, asked %d times", err, asked.Load())
		}
		time.Sleep(time.Hour)
		if asked.Load() < 8 || asked.Load() > 10 {
			t.Errorf("asked %d times within an hour; want about 6 more", asked.Load())
		}
	})
}

func TestStaleKeysAreKeptForATime(t *testing.T) {
	i := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		v, asked := remote(t, func(n int) (string, error) {
			if n == 1 {
				return i.set(), nil
			}
			return "", errors.New("down")
		})
		go func() { _ = v.Run(t.Context()) }()
		synctest.Wait()
		time.Sleep(23 * time.Hour)
		if _, err := v.Verify(i.sign(edHeader, claims(nil))); err != nil {
			t.Errorf("after 23 h without an answer: %v", err)
		}
		if asked.Load() < 250 || asked.Load() > 340 { // every five minutes, about, after some quicker ones
			t.Errorf("asked %d times in 23 h", asked.Load())
		}
		time.Sleep(2 * time.Hour)
		if _, err := v.Verify(i.sign(edHeader, claims(nil))); err == nil {
			t.Error("keys that nobody confirmed for 25 h are good")
		}
	})
}

func TestFetch(t *testing.T) {
	i := newIssuer(t)
	var answer func(http.ResponseWriter)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	// A broken handshake is wanted below.
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	v, err := New(slog.New(slog.DiscardHandler), Config{
		KeysURL:  server.URL + "/secret-path",
		Audience: "host7", Issuer: "https://issuer.example", MaxRole: Operator, Roots: roots,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		want   string
	}{
		{"good", func(w http.ResponseWriter) { _, _ = w.Write([]byte(i.set())) }, ""},
		{"large", func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 10*maxSet)) }, "more than"},
		{"redirect", func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://evil.example")
			w.WriteHeader(http.StatusFound)
		}, "it redirects"},
		{"error", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, "status 500"},
	} {
		answer = c.answer
		err := v.issuers[0].keys.refresh(t.Context())
		if (c.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "secret-path")) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
	if _, err := v.Verify(i.sign(edHeader, claims(nil))); err != nil {
		t.Errorf("with the fetched keys: %v", err)
	}
	v.issuers[0].keys.cfg.Roots = nil
	if err := v.issuers[0].keys.refresh(t.Context()); err == nil {
		t.Error("a certificate that nobody vouches for is trusted")
	}
}
