package api

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/api/problem"
)

// FuzzTokens reads files of tokens: what is wrong with one is an error, whatever it is, and what is read is whole.
func FuzzTokens(f *testing.F) {
	_, line, err := NewToken("a", "operator")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		"", "# tokens\n\n" + line, line + "\n" + line, line + "00", line[:len(line)-1], "a operator sha256:" + strings.Repeat("0", 1000), "a operator sha256:zz", "a root " + line,
		strings.Replace(line, "operator", "viewer", 1) + " displays=x11:*,test networks=192.0.2.0/24,2001:db8::/32 until=2027-01-31T18:00:00+01:00", line + " until=",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		known, err := parseTokens(text)
		if err != nil && known != nil {
			t.Error("a part of a broken file is taken")
		}
		for hash, p := range known {
			if p.hash != hash || p.Name == "" || p.role == "" {
				t.Errorf("%+v has the hash %x", p, hash)
			}
			// What was read says the same when it is written again.
			again, err := parseTokens([]byte(lineOf(p)))
			if err != nil || !reflect.DeepEqual(again[hash], p) {
				t.Errorf("%q is read as %+v, %v; want %+v", lineOf(p), again[hash], err, p)
			}
		}
	})
}

// lineOf writes the line of a token.
func lineOf(p principal) string {
	fields := []string{p.Name, string(p.role), "sha256:" + hex.EncodeToString(p.hash[:])}
	if p.scope.Displays != nil {
		fields = append(fields, "displays="+strings.Join(p.scope.Displays, ","))
	}
	if p.scope.Networks != nil {
		var list []string
		for _, n := range p.scope.Networks {
			list = append(list, n.String())
		}
		fields = append(fields, "networks="+strings.Join(list, ","))
	}
	if !p.until.IsZero() {
		fields = append(fields, "until="+p.until.Format(time.RFC3339Nano))
	}
	return strings.Join(fields, " ")
}

func TestBrokenLinesOfTokens(t *testing.T) {
	hash := " sha256:" + strings.Repeat("0", 64)
	for line, want := range map[string]string{
		"ann viewer":                            "line 2: it is not a name, a role and sha256:hash",
		"a\x01 viewer" + hash:                   `line 2: name "a\x01" is not printable, or has more than 256 bytes`,
		"a\xff viewer" + hash:                   `line 2: name "a\xff" is not printable, or has more than 256 bytes`,
		"ann root" + hash:                       `line 2: role "root" is none of [viewer controller operator metrics]`,
		"ann viewer sha256:00":                  `line 2: the hash of "ann" is not sha256: and 64 hexadecimal digits`,
		"ann viewer" + hash + " # mine":         `line 2: "#" is not displays=, networks= or until=`,
		"ann viewer" + hash + " netwoks=::/0":   `line 2: "netwoks=::/0" is not displays=, networks= or until=`,
		"ann viewer" + hash + " displays=":      `line 2: "displays=" has an empty value`,
		"ann viewer" + hash + " displays":       `line 2: "displays" has an empty value`,
		"ann viewer" + hash + " displays=a,":    `line 2: "displays=a," has an empty value`,
		"ann viewer" + hash + " displays=[":     `line 2: displays: "[" is not a pattern of ids`,
		"ann viewer" + hash + " until=tomorrow": `line 2: until="tomorrow" is not a time such as 2027-01-31T18:00:00Z`,
		"ann viewer" + hash + " until=2027-01-31T18:00:00Z until=2028-01-31T18:00:00Z":  "line 2: until= is there twice",
		"ann viewer" + hash + " networks=192.0.2.1":                                     `line 2: networks: "192.0.2.1" is not a network such as 192.0.2.0/24`,
		"ann viewer" + hash + " networks=" + strings.Repeat("10.0.0.0/8,", 32) + "::/0": "line 2: there are more than 32 displays or networks",
		"ann operator" + hash + " displays=x11:0":                                       "line 2: displays= limits a viewer or a controller, and not a role such as operator",
		"ann viewer" + hash + "\nann viewer sha256:" + strings.Repeat("1", 64):          `line 3: "ann", or its token, is there already`,
		"ann viewer" + hash + "\nbob viewer" + hash:                                     `line 3: "bob", or its token, is there already`,
		"a b\na b\n\na b\na b\na b\na b\na b": "line 2: it is not a name, a role and sha256:hash; line 3: it is not a name, a role and sha256:hash; " +
			"line 5: it is not a name, a role and sha256:hash; line 6: it is not a name, a role and sha256:hash; line 7: it is not a name, a role and sha256:hash; and 2 more",
	} {
		if known, err := parseTokens([]byte("# tokens\n" + line + "\n")); known != nil || err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v; want %s", line, known, err, want)
		}
	}
}

// A token of the file has limits of its own: each request is held to them, and the audit log says whose token was refused.
func TestTokensLimitWhatTheyAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token, line, err := NewToken("ann", "viewer", "displays=x11:*", "networks=192.0.2.0/24", "until="+time.Now().Add(time.Hour).Format(time.RFC3339))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		m := healthy()
		s, _ := newServer(t, Config{TokensFile: path, Audit: &log}, m)
		open := func(path, remote string) reply {
			header := bearer(token)
			header["Content-Type"] = typeSDP
			return ask{method: "POST", path: path, header: header, body: "v=0", remote: remote}.do(s.Handler())
		}
		if r := open("/whep/x11:0", "192.0.2.9:1"); r.StatusCode != http.StatusCreated {
			t.Fatalf("where it is good: %d %s", r.StatusCode, r.body)
		}
		if r := open("/whep/default", "[::ffff:192.0.2.9]:1"); r.StatusCode != http.StatusCreated || m.offers[1].Display != "x11:0" {
			t.Errorf("the display by the name default: %d %s", r.StatusCode, r.body)
		}
		if r := (ask{method: "OPTIONS", path: "/whep/test", header: bearer(token), remote: "192.0.2.9:1"}).do(s.Handler()); r.Header.Get("Link") != "" {
			t.Errorf("ICE servers for another display: %s", r.Header.Get("Link"))
		}
		for name, c := range map[string]struct {
			path, remote string
			want         problem.Code
			why          string
		}{
			"another display":   {"/whep/test", "192.0.2.9:1", problem.Forbidden, "the token is not good for this display"},
			"another network":   {"/whep/x11:0", "192.0.3.9:1", problem.Unauthorized, "the token is not good from your network"},
			"no network at all": {"/whep/x11:0", "@", problem.Unauthorized, "the token is not good from your network"},
		} {
			if r := open(c.path, c.remote); refusal(t, r) != c.want || !strings.Contains(r.body, c.why) {
				t.Errorf("%s: %s; want %s, %s", name, r.body, c.want, c.why)
			}
		}
		log.Reset()
		time.Sleep(time.Hour)
		for range 20 { // it is no guess
			if r := open("/whep/x11:0", "192.0.2.9:1"); refusal(t, r) != problem.Unauthorized || !strings.Contains(r.body, "the token has expired") {
				t.Fatalf("after its end: %s", r.body)
			}
		}
		s.sumUp(time.Now(), true)
		var l auditLine
		first, _, _ := strings.Cut(log.String(), "\n")
		if err := json.Unmarshal([]byte(first), &l); err != nil || l.Who != "ann" || l.Credential != "token" || l.Role != "" || l.Code != "unauthorized" {
			t.Errorf("%v: the audit log has %s", err, first)
		}
	})
}

// A token is taken away by a file of the same size and time, too, as a link in a configuration that is switched as a whole.
func TestTokenTakenAwayByALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		link := filepath.Join(dir, "tokens")
		tokens := map[string]string{}
		for _, name := range []string{"old", "new"} {
			token, line, err := NewToken("bob", "viewer")
			if err != nil {
				t.Fatal(err)
			}
			tokens[name] = token
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("old", link); err != nil {
			t.Fatal(err)
		}
		s, _ := newServer(t, Config{Token: token, TokensFile: link}, healthy())
		open := func(name string) int {
			header := bearer(tokens[name])
			header["Content-Type"] = typeSDP
			return ask{method: "POST", path: "/whep/default", header: header, body: "v=0"}.do(s.Handler()).StatusCode
		}
		if got := open("old"); got != http.StatusCreated {
			t.Fatalf("the old token at first: %d", got)
		}
		if err := os.Symlink("new", link+".next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".next", link); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if was, is := open("old"), open("new"); was != http.StatusUnauthorized || is != http.StatusCreated {
			t.Errorf("the old token: %d, the new one: %d", was, is)
		}
	})
}
