package api

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzTokens reads files of tokens: what is wrong with one is an error, whatever it is, and what is read is whole.
func FuzzTokens(f *testing.F) {
	_, line, err := NewToken("a", "operator")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		"", "# tokens\n\n" + line, line + "\n" + line, line + "00", line[:len(line)-1], "a operator sha256:" + strings.Repeat("0", 1000), "a operator sha256:zz", "a root " + line,
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
