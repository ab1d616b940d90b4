package auth

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzTokens reads files of tokens: anything wrong is an error, and what is read is complete.
func FuzzTokens(f *testing.F) {
	_, line, err := NewToken("a", "operator")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		"", "# tokens\n\n" + line, line + "\n" + line, line + "00", line[:len(line)-1],
		"a operator sha256:" + strings.Repeat("0", 1000), "a operator sha256:zz", "a root " + line,
		strings.Replace(line, "operator", "viewer",
			1) + " displays=x11:*,test networks=192.0.2.0/24,2001:db8::/32 until=2027-01-31T18:00:00+01:00", line + " until=",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		known, err := parseTokens(text)
		if err != nil && known != nil {
			t.Error("a part of a broken file is taken")
		}
		for hash, p := range known {
			if p.hash != hash || p.Name == "" || p.Role == "" {
				t.Errorf("%+v has the hash %x", p, hash)
			}
			// Writing and reading again gives the same.
			again, err := parseTokens([]byte(lineOf(p)))
			if err != nil || !reflect.DeepEqual(again[hash], p) {
				t.Errorf("%q is read as %+v, %v; want %+v", lineOf(p), again[hash], err, p)
			}
		}
	})
}

// lineOf returns the line of a token.
func lineOf(p Principal) string {
	fields := []string{p.Name, string(p.Role), "sha256:" + hex.EncodeToString(p.hash[:])}
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
	const short = "a line has a name, a role and sha256:hash"
	hash := " sha256:" + strings.Repeat("0", 64)
	for line, want := range map[string]string{
		"ann viewer":                            "line 2: " + short,
		"a\x01 viewer" + hash:                   `line 2: name "a\x01" is not printable, or has more than 256 bytes`,
		"a\xff viewer" + hash:                   `line 2: name "a\xff" is not printable, or has more than 256 bytes`,
		"ann root" + hash:                       `line 2: role "root" is none of [viewer controller operator metrics]`,
		"ann viewer sha256:00":                  `line 2: the hash of "ann" is not sha256: and 64 hexadecimal digits`,
		"ann viewer" + hash + " # mine":         `line 2: "#" is not displays=, networks= or until=`,
		"ann viewer" + hash + " netwoks=::/0":   `line 2: "netwoks=::/0" is not displays=, networks= or until=`,
		"ann viewer" + hash + " displays=":      `line 2: "displays=" has an empty value`,
		"ann viewer" + hash + " displays":       `line 2: "displays" has an empty value`,
		"ann viewer" + hash + " displays=a,":    `line 2: "displays=a," has an empty value`,
		"ann viewer" + hash + " displays=[":     `line 2: displays: "[" is not a pattern of IDs`,
		"ann viewer" + hash + " until=tomorrow": `line 2: until="tomorrow" is not a time such as 2027-01-31T18:00:00Z`,
		"ann viewer" + hash + " until=2027-01-31T18:00:00Z until=2028-01-31T18:00:00Z": "line 2: until= appears twice",
		"ann viewer" + hash + " networks=192.0.2.1": `line 2: networks: "192.0.2.1" is not a network ` +
			`such as 192.0.2.0/24`,
		"ann viewer" + hash + " networks=" + strings.Repeat("10.0.0.0/8,",
			32) + "::/0": "line 2: there are more than 32 displays or networks",
		"ann operator" + hash + " displays=x11:0": "line 2: displays= is a limit for viewers and controllers, " +
			"not for the role operator",
		"ann viewer" + hash + "\nann viewer sha256:" + strings.Repeat("1",
			64): `line 3: "ann" or its token appears twice`,
		"ann viewer" + hash + "\nbob viewer" + hash: `line 3: "bob" or its token appears twice`,
		"a b\na b\n\na b\na b\na b\na b\na b": "line 2: " + short + "; line 3: " + short + "; line 5: " + short +
			"; line 6: " + short + "; line 7: " + short + "; and 2 more",
	} {
		if known, err := parseTokens([]byte("# tokens\n" + line + "\n")); known != nil || err == nil ||
			err.Error() != want {
			t.Errorf("%q: %v, %v; want %s", line, known, err, want)
		}
	}
}
