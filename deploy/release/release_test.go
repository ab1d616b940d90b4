package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"wavryhost/deploy/signature"
)

func TestWaivers(t *testing.T) {
	all := []step{
		{"good", func(context.Context, *checkCmd) (string, error) { return "fine", nil }},
		{"bad", func(context.Context, *checkCmd) (string, error) { return "", errors.New("two\nlines") }},
	}
	for name, one := range map[string]struct {
		waive map[string]string
		want  verdict
		fails bool
	}{
		"stopped":        {nil, verdictStop, false},
		"waived":         {map[string]string{"bad": "known"}, verdictWaived, false},
		"without reason": {map[string]string{"bad": " "}, "", true},
		"unknown step":   {map[string]string{"worse": "x"}, "", true},
	} {
		c := &checkCmd{Waive: one.waive}
		results, err := c.check(t.Context(), all, func(result) {})
		if (err != nil) != one.fails {
			t.Errorf("%s: %v", name, err)
		} else if err == nil && (results[0].Verdict != verdictOK || results[1].Verdict != one.want ||
			results[1].Detail != "two lines") {
			t.Errorf("%s: got %+v", name, results)
		}
	}
}

func TestEntriesOfTheChangelog(t *testing.T) {
	const text = "# Changelog\n\n## Unreleased\n\n- [FEATURE] a\n\n## 1.2.0 (2026-12-01)\n\n- [CHANGE] b\n" +
		"- [BUGFIX] c\n\n## 1.1.0\n"
	for version, want := range map[string]int{"v1.2.0": 2, "v1.1.0": 0, "v1.2": 0} {
		n, err := entries(text, version)
		if n != want || (err == nil) != (want > 0) {
			t.Errorf("%s: got %d, %v", version, n, err)
		}
	}
}

func TestChangedContracts(t *testing.T) {
	const before = `{"a": {"type": "int", "enum": ["x", "y"], "description": "old"}, "b": 1}`
	for after, want := range map[string]string{
		before: "",
		`{"a": {"type": "int", "enum": ["y", "x", "z"], "description": "new"}, "b": 1, "c": 2}`: "",
		`{"a": {"type": "text", "enum": ["x", "y"], "description": "old"}, "b": 1}`:             "/a/type",
		`{"a": {"type": "int", "enum": ["y"], "description": "old"}, "b": 1}`:                   "/a/enum/0",
		`{"a": {"type": "int", "enum": ["x", "y"], "description": "old"}}`:                      "/b",
	} {
		lost, err := missing([]byte(before), []byte(after))
		if err != nil || strings.Join(lost, " ") != want {
			t.Errorf("%s: got %v, %v; want %q", after, lost, err, want)
		}
	}
}

func TestFilesOfPackages(t *testing.T) {
	owned := []string{"/usr/bin/a", "/usr/share/doc/**"}
	for name, one := range map[string]struct {
		files []string
		want  string
	}{
		"all listed": {[]string{"/usr/bin/a", "/usr/share/doc/x/y"}, ""},
		"unowned":    {[]string{"/usr/bin/a", "/usr/share/doc/x", "/usr/bin/b"}, "/usr/bin/b is not listed"},
		"absent":     {[]string{"/usr/share/doc/x"}, "/usr/bin/a is listed"},
	} {
		err := compareFiles(owned, one.files)
		if (err == nil) != (one.want == "") || err != nil && !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: got %v; want %q", name, err, one.want)
		}
	}
}

func TestVersionsOfGlibc(t *testing.T) {
	for _, one := range []struct {
		a, b string
		want bool
	}{
		{"2.34", "2.31", true},
		{"2.31", "2.31", false},
		{"2.9", "2.31", false},
		{"2.2.5", "2.31", false},
		{"PRIVATE", "2.31", false},
	} {
		if newer(one.a, one.b) != one.want {
			t.Errorf("newer(%s, %s): got %v", one.a, one.b, !one.want)
		}
	}
}

// The lock file is complete, and the license of each source is known.
func TestLockFile(t *testing.T) {
	inputs, err := readLock("inputs.lock")
	if err != nil || len(inputs) < 30 {
		t.Fatalf("%d inputs, %v", len(inputs), err)
	}
	for _, i := range inputs {
		if name, conveyed := licenseOf(i); conveyed && name == "" {
			t.Errorf("%s has no line in codecs or inImage", i.Package)
		}
	}
	for name := range codecs {
		if !slices.ContainsFunc(inputs, func(i input) bool { return i.Package == name }) {
			t.Errorf("%s is no input", name)
		}
	}
	if v := (input{Version: "2:0.164.3108+git31e19f9-2"}).upstream(); v != "0.164.3108+git31e19f9" {
		t.Errorf("got the version %q", v)
	}
}

// The check of the packages says what it lacks, and stops for a package that does not install.
func TestCheckOfPackages(t *testing.T) {
	dir := t.TempDir()
	for want, c := range map[string]*checkCmd{
		"no package of the former release was named": {Dir: dir}, "has 0 packages for": {Dir: dir, Former: "a.deb"},
	} {
		if _, err := checkPackages(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

// A bill of materials has each module of the program, and the codecs.
func TestBillOfMaterials(t *testing.T) {
	program, err := os.Executable() // this test, whose modules are fewer
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(t.TempDir(), "licenses.csv")
	c := &sbomCmd{Program: program, Arch: "amd64", Version: "v1.2.0", Lock: "inputs.lock", Licenses: table}
	if err := os.WriteFile(table, []byte("aead.dev/minisign,Unknown,MIT\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.make(); err == nil || !strings.Contains(err.Error(), "no line for the module") {
		t.Errorf("a module without a license: %v", err)
	}
	rows := "aead.dev/minisign,Unknown,MIT\ngithub.com/alecthomas/kong,Unknown,MIT\n" +
		"golang.org/x/crypto/blake2b,x,BSD-3-Clause\n" +
		"golang.org/x/term,x,BSD-3-Clause\ngolang.org/x/sys/cpu,x,BSD-3-Clause\n"
	if err := os.WriteFile(table, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := c.make()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"pkg:golang/aead.dev/minisign@", "pkg:deb/debian/x264@2%3A0.164.3108%2Bgit31e19f9-2?arch=source",
		"AGPL-3.0-only",
		"GPL-2.0-or-later", "pkg:golang/std@",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
	if strings.Contains(string(text), "arm64-cross") {
		t.Error("the document for amd64 has the compiler for arm64")
	}
}

// Signing refuses an expired key and a missing one, and what it makes is verified.
func TestSign(t *testing.T) {
	defer func() { now = time.Now }()
	day := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	dir, keys := t.TempDir(), t.TempDir()
	write := func(path string, content []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	public, root, err := minisign.GenerateKey(rand.Reader)
	write(filepath.Join(keys, "roots.pub"), []byte(public.String()+"\n"), err)
	signer, secret, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.MarshalText()
	key := filepath.Join(keys, "key.pub")
	write(key, text, err)
	write(key+".minisig", minisign.SignWithComments(root, text, signature.Validity(day, day.AddDate(1, 0, 0)),
		"x"), nil)
	text, err = secret.MarshalText() // the cost of a password would be seconds and a gigabyte
	write(filepath.Join(keys, "key"), text, err)
	write(filepath.Join(dir, "a.deb"), []byte("content"), nil)
	c := &signCmd{
		Dir: dir, Version: "v1.2.0", Secret: filepath.Join(keys, "key"), Key: key, Roots: filepath.Join(keys,
			"roots.pub"),
	}
	now = func() time.Time { return day.AddDate(1, 0, 0) }
	if err := c.Run(); !errors.Is(err, signature.ErrTime) {
		t.Errorf("an expired key: %v", err)
	}
	now = func() time.Time { return day.AddDate(0, 1, 0) }
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	k, _, _, err := trust(c.Roots, filepath.Join(dir, signature.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := os.ReadFile(filepath.Join(dir, "a.deb.minisig"))
	if err != nil {
		t.Fatal(err)
	}
	if version, err := k.Verify("a.deb", strings.NewReader("content"), signed); err != nil || version != "v1.2.0" {
		t.Errorf("verify: %q, %v", version, err)
	}
	c.Key = filepath.Join(keys, "missing.pub")
	if err := c.Run(); err == nil || !strings.Contains(err.Error(), "read the signing key") {
		t.Errorf("a missing key: %v", err)
	}
}
