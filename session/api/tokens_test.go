package api

import (
	"strings"
	"testing"
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
