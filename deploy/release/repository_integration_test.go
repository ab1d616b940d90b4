//go:build integration

package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"wavryhost/deploy/signature"
)

// publisher has throwaway keys, and a folder for the repositories.
type publisher struct {
	t                         *testing.T
	dir, keys, gpg, key, apts string
	secret                    minisign.PrivateKey
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	for _, program := range []string{"apt-ftparchive", "apt-get", "createrepo_c", "dnf", "dpkg-deb", "gpg", "rpmbuild"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: apt-get install apt-utils createrepo-c dnf gnupg rpm", err)
		}
	}
	gpg, err := os.MkdirTemp("", "gpg") // sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{t: t, dir: t.TempDir(), keys: t.TempDir(), gpg: gpg, apts: t.TempDir()}
	t.Cleanup(func() {
		_ = exec.CommandContext(context.Background(), "gpgconf", "--homedir", gpg, "--kill", "all").Run()
		_ = os.RemoveAll(gpg)
	})
	p.run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "test <test@localhost>", "ed25519", "sign", "never")
	for line := range strings.Lines(p.run("gpg", "--batch", "--with-colons", "--list-keys")) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" && p.key == "" {
			p.key = fields[9]
		}
	}
	public, root, err := minisign.GenerateKey(rand.Reader)
	p.write(filepath.Join(p.keys, "roots.pub"), public.String()+"\n", err)
	signer, secret, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.secret = secret
	from := time.Now().AddDate(0, 0, -1)
	text, err := signer.MarshalText()
	p.write(filepath.Join(p.keys, signature.KeyFile), string(text), err)
	p.write(filepath.Join(p.keys, signature.KeyFile+signature.Suffix), string(minisign.SignWithComments(root, text,
		signature.Validity(from, from.AddDate(1, 0, 0)), "x")), nil)
	armored := p.run("gpg", "--armor", "--export", p.key)
	p.write(filepath.Join(p.dir, "wavry-repository.asc"), armored, nil)
	p.write(filepath.Join(p.dir, "wavry-repository.asc.minisig"), string(minisign.SignWithComments(root, []byte(armored),
		"wavry-host repository key from "+from.Format(time.DateOnly)+" until "+from.AddDate(1, 0, 0).Format(time.DateOnly),
		"x")), nil)
	return p
}

func (p *publisher) write(path, content string, err error) {
	p.t.Helper()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// attempt runs a program at the root of the repository.
func (p *publisher) attempt(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(p.t.Context(), name, args...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GNUPGHOME="+p.gpg, "WAVRY_REPOSITORY_KEY="+p.key,
		"WAVRY_ROOTS="+filepath.Join(p.keys, "roots.pub"), "LC_ALL=C", "HOME="+p.apts)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *publisher) run(name string, args ...string) string {
	p.t.Helper()
	out, err := p.attempt(name, args...)
	if err != nil {
		p.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// repository runs scripts/repository.
func (p *publisher) repository(args ...string) (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		p.t.Fatal(err)
	}
	return p.attempt("env", append([]string{"HOME=" + home, "scripts/repository"}, append(args, p.dir)...)...)
}

// release makes a signed release with a package of each kind, which contain a file.
func (p *publisher) release(version, channel string) (dir string) {
	p.t.Helper()
	dir = filepath.Join(p.keys, version)
	plain := strings.TrimPrefix(version, "v")
	tree := filepath.Join(p.t.TempDir(), "tree")
	p.write(filepath.Join(tree, "usr/share/wavry-host/version"), version, nil)
	p.write(filepath.Join(tree, "DEBIAN/control"), fmt.Sprintf("Package: wavry-host\nVersion: %s\nArchitecture: amd64\n"+
		"Maintainer: test <test@localhost>\nDescription: test\n", plain), nil)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.run("dpkg-deb", "--root-owner-group", "-b", tree, dir)
	spec := filepath.Join(tree, "spec")
	p.write(spec, "Name: wavry-host\nVersion: "+plain+"\nRelease: 1\nSummary: test\nLicense: x\n%description\ntest\n"+
		"%install\nmkdir -p %{buildroot}/usr/share/wavry-host\necho "+version+" >%{buildroot}/usr/share/wavry-host/version\n"+
		"%files\n/usr/share/wavry-host/version\n", nil)
	p.run("rpmbuild", "-bb", "--quiet", "--target", "x86_64", "--define", "_topdir "+filepath.Join(tree, "rpm"),
		"--define", "_rpmdir "+dir, "--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", spec)
	m := manifestCmd{
		Dir: dir, Version: version, Commit: "x", Channel: channel, Go: "go", Rollback: "v1.0.0", Lock: "inputs.lock",
	}
	if err := m.Run(); err != nil {
		p.t.Fatal(err)
	}
	text, err := p.secret.MarshalText()
	p.write(filepath.Join(p.keys, "secret"), string(text), err)
	s := signCmd{
		Dir: dir, Version: version, Secret: filepath.Join(p.keys, "secret"), Key: filepath.Join(p.keys, signature.KeyFile),
		Roots: filepath.Join(p.keys, "roots.pub"),
	}
	if err := s.Run(); err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// apt runs apt-get or apt-cache with folders of its own, and the repository as its only source.
func (p *publisher) apt(channel, program string, args ...string) (string, error) {
	root := filepath.Join(p.apts, channel)
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "etc/preferences.d"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	p.write(filepath.Join(root, "status"), "", nil)
	p.write(filepath.Join(root, "apt.sources"), fmt.Sprintf("Types: deb\nURIs: file:%s/apt\nSuites: %s\n"+
		"Components: main\n"+
		"Architectures: amd64\nSigned-By: %[1]s/wavry-repository.asc\n", p.dir, channel), nil)
	// The folder belongs to root alone, like all folders of tests, so apt's user cannot read it.
	return p.attempt(program, append([]string{
		"-o", "Dir=" + root, "-o", "Dir::Etc=" + root + "/etc", "-o", "Dir::Etc::sourcelist=" + root + "/apt.sources",
		"-o", "Dir::Etc::sourceparts=-", "-o", "Dir::State=" + root + "/state",
		"-o", "Dir::State::status=" + root + "/status",
		"-o", "Dir::Cache=" + root + "/cache", "-o", "APT::Architecture=amd64", "-o", "APT::Architectures=amd64",
		"-o", "APT::Sandbox::User=root", "-o", "Dir::Bin::methods=/usr/lib/apt/methods",
	}, args...)...)
}

// candidate updates apt and returns the version that it would install.
func (p *publisher) candidate(channel string) string {
	p.t.Helper()
	if out, err := p.apt(channel, "apt-get", "update"); err != nil || strings.Contains(out, "W:") {
		p.t.Fatalf("%s: %v\n%s", channel, err, out)
	}
	out, err := p.apt(channel, "apt-cache", "policy", "wavry-host")
	if err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	_, rest, _ := strings.Cut(out, "Candidate: ")
	version, _, _ := strings.Cut(rest, "\n")
	return version
}

// dnf installs the package into an empty root, and returns the version in the file.
func (p *publisher) dnf(channel string) (string, error) {
	root := p.t.TempDir()
	p.write(filepath.Join(root, "repos/wavry.repo"), fmt.Sprintf("[wavry-host]\nname=wavry-host\n"+
		"baseurl=file://%s/rpm/%s/x86_64\nrepo_gpgcheck=1\ngpgcheck=0\n"+
		"gpgkey=file://%[1]s/wavry-repository.asc\n", p.dir, channel), nil)
	if err := os.Mkdir(root+"/log", 0o755); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.attempt("dnf", "-y", "--quiet", "--releasever=1", "--forcearch=x86_64", "--installroot="+root+"/root",
		"--setopt=reposdir="+root+"/repos", "--setopt=cachedir="+root+"/cache", "--setopt=varsdir="+root,
		"--setopt=pluginpath="+root, "--setopt=logdir="+root+"/log", "install", "wavry-host")
	if err != nil {
		return out, err
	}
	version, err := os.ReadFile(filepath.Join(root, "root/usr/share/wavry-host/version"))
	return strings.TrimSpace(string(version)), err
}

var repositories = flag.Bool("repositories", false, "test the package repositories with apt and dnf, for a minute")

// Real apt and dnf install from the repositories, by channel, and refuse what was changed.
func TestRepositories(t *testing.T) {
	if !*repositories {
		t.Skip("skipped without -repositories, which scripts/release check sets")
	}
	p := newPublisher(t)
	first, second := p.release("v1.0.0", "stable"), p.release("v2.0.0", "canary")
	do := func(args ...string) {
		t.Helper()
		if out, err := p.repository(args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	offers := func(stable, canary string) {
		t.Helper()
		if s, c := p.candidate("stable"), p.candidate("canary"); s != stable || c != canary {
			t.Errorf("apt: stable has %s and canary %s; want %s and %s", s, c, stable, canary)
		}
	}
	do("add", first)
	do("add", second)
	offers("1.0.0", "2.0.0")
	for channel, want := range map[string]string{"stable": "v1.0.0", "canary": "v2.0.0"} {
		if got, err := p.dnf(channel); err != nil || got != want {
			t.Errorf("dnf, %s: got %s, %v; want %s", channel, got, err, want)
		}
	}
	if out, err := p.apt("canary", "apt-get", "--download-only", "-y", "install", "wavry-host=1.0.0"); err != nil {
		t.Errorf("the earlier version is not in canary: %v\n%s", err, out)
	}
	do("promote", "v2.0.0")
	offers("2.0.0", "2.0.0")
	do("remove", "v2.0.0")
	offers("1.0.0", "1.0.0")
	if left, _ := filepath.Glob(p.dir + "/*/pool/*2.0.0*"); len(left) > 0 {
		t.Errorf("the release that was removed left %v", left)
	}

	for _, c := range []struct {
		name  string
		args  []string
		spoil func()
		want  string
	}{
		{"twice", []string{"add", first}, nil, "has v1.0.0 already"},
		{"unknown", []string{"promote", "v9.0.0"}, nil, "has no release v9.0.0; it has v1.0.0"},
		{"no release", []string{"add", p.keys}, nil, "has no release-manifest.json"},
		{"changed", []string{"add", second}, func() {
			p.write(second+"/wavry-host-2.0.0-1.x86_64.rpm", "x", nil)
		}, "is not what"},
		{"unsigned", []string{"add", first}, func() {
			_ = os.Remove(first + "/SHA256SUMS.minisig")
		}, "read the signature of SHA256SUMS"},
		{"another key", []string{"promote", "v1.0.0"}, func() { p.key = "0123" }, "and WAVRY_REPOSITORY_KEY is 0123"},
		{"no key", []string{"promote", "v1.0.0"}, func() { p.key = "" }, "WAVRY_REPOSITORY_KEY is not set"},
	} {
		key := p.key
		if c.spoil != nil {
			c.spoil()
		}
		if out, err := p.repository(c.args...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: got %v\n%s; want %q", c.name, err, out, c.want)
		}
		p.key = key
	}
	offers("1.0.0", "1.0.0")

	p.write(p.dir+"/apt/pool/wavry-host_1.0.0_amd64.deb", "x", nil)
	if out, err := p.apt("stable", "apt-get", "--download-only", "-y", "install", "wavry-host"); err == nil {
		t.Errorf("apt took a changed package: %s", out)
	}
	spoil := func(path, before, after string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if !strings.Contains(string(text), before) {
			t.Fatalf("%s has no %q", path, before)
		}
		p.write(path, strings.Replace(string(text), before, after, 1), err)
	}
	if got, err := p.dnf("stable"); err != nil {
		t.Errorf("dnf: %s, %v", got, err)
	}
	spoil(p.dir+"/rpm/stable/x86_64/repodata/repomd.xml", "<revision>", "<revision>1")
	if got, err := p.dnf("stable"); err == nil || !strings.Contains(got, "GPG") {
		t.Errorf("dnf with a changed index: %s, %v", got, err)
	}
	spoil(p.dir+"/apt/dists/stable/InRelease", "Label: wavry-host", "Label: other")
	_ = os.Remove(p.dir + "/apt/dists/stable/Release.gpg")
	if out, err := p.apt("stable", "apt-get", "update", "-o", "APT::Update::Error-Mode=any"); err == nil {
		t.Errorf("apt took a changed index: %s", out)
	}
}
