package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"

	"wavryhost/deploy/signature"
)

const (
	manifestFile = "release-manifest.json"
	sumsFile     = "SHA256SUMS"
)

// manifest describes a release.
type manifest struct {
	Version  string     `json:"version"`
	Channel  string     `json:"channel"`
	Commit   string     `json:"commit"`
	Epoch    int64      `json:"source_date_epoch"`
	Go       string     `json:"go"`
	Glibc    string     `json:"glibc_at_least"`
	Rollback string     `json:"rollback_to_at_least"` // the oldest version that reads the state of this one
	Inputs   []input    `json:"inputs"`
	Files    []artifact `json:"files"`
	Checks   []result   `json:"checks"`
}

// artifact is a file of a release.
type artifact struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// manifestCmd prints the manifest, and writes SHA256SUMS.
type manifestCmd struct {
	Dir      string `arg:"" help:"Folder with the files of the release."`
	Version  string `required:"" help:"Version of the release."`
	Commit   string `required:"" help:"Commit that it is made from."`
	Epoch    int64  `required:"" help:"Time of the commit, in seconds since 1970."`
	Channel  string `enum:"stable,canary" default:"canary" help:"stable or canary."`
	Go       string `required:"" help:"Release of Go."`
	Rollback string `required:"" help:"Oldest version to which one can go back."`
	Lock     string `default:"deploy/release/inputs.lock" help:"The pinned inputs."`
	Checks   string `help:"Results of the check, as it writes them."`
}

// Run is called by kong.
func (c *manifestCmd) Run() error {
	inputs, err := readLock(c.Lock)
	if err != nil {
		return err
	}
	m := manifest{
		Version: c.Version, Channel: c.Channel, Commit: c.Commit, Epoch: c.Epoch, Go: c.Go, Glibc: oldestGlibc,
		Rollback: c.Rollback, Inputs: inputs, Checks: []result{},
	}
	if c.Checks != "" {
		text, err := os.ReadFile(c.Checks)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &m.Checks); err != nil {
			return fmt.Errorf("%s: %w", c.Checks, err)
		}
	}
	if m.Files, err = artifacts(c.Dir); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(c.Dir, manifestFile), append(text, '\n'), 0o644) //nolint:gosec // public
	if err != nil {
		return err
	}
	all, err := artifacts(c.Dir, manifestFile)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, one := range all {
		fmt.Fprintf(&sums, "%s  %s\n", one.SHA256, one.Name)
	}
	return os.WriteFile(filepath.Join(c.Dir, sumsFile), []byte(sums.String()), 0o644) //nolint:gosec // public
}

// artifacts returns the files of a folder that a release consists of, and those in also.
func artifacts(dir string, also ...string) ([]artifact, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []artifact
	for _, e := range entries {
		name := e.Name()
		described := name == manifestFile || name == sumsFile || strings.HasSuffix(name, signature.Suffix) ||
			name == signature.KeyFile
		if e.IsDir() || described && !slices.Contains(also, name) {
			continue
		}
		one, err := digest(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

func digest(path string) (artifact, error) {
	f, err := os.Open(path)
	if err != nil {
		return artifact{}, err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	return artifact{filepath.Base(path), size, hex.EncodeToString(h.Sum(nil))}, err
}

// signCmd signs each file of a release.
type signCmd struct {
	Dir     string `arg:"" help:"Folder with the files of the release."`
	Version string `required:"" help:"Version of the release."`
	Secret  string `required:"" help:"Secret half of the signing key. WAVRY_KEY_PASSWORD has its password."`
	Key     string `required:"" help:"The signing key. The signature of a root key is in the same folder."`
	Roots   string `default:"deploy/signature/roots.pub" help:"The root keys."`
}

// Run is called by kong.
func (c *signCmd) Run() error {
	trusted, text, signed, err := trust(c.Roots, c.Key)
	if err != nil {
		return err
	}
	secret, err := openSecret(c.Secret, os.Getenv("WAVRY_KEY_PASSWORD"))
	if err != nil {
		return fmt.Errorf("open the secret signing key: %w", err)
	}
	if !trusted.Owns(secret) {
		return fmt.Errorf("%s is not the secret half of %s", c.Secret, c.Key)
	}
	files, err := artifacts(c.Dir, manifestFile, sumsFile)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(c.Dir, f.Name)
		content, err := os.Open(path)
		if err != nil {
			return err
		}
		s, err := signature.Sign(secret, path, c.Version, content)
		content.Close()
		if err == nil {
			err = os.WriteFile(path+signature.Suffix, s, 0o644) //nolint:gosec // public
		}
		if err != nil {
			return err
		}
	}
	own := filepath.Join(c.Dir, signature.KeyFile)
	if err := os.WriteFile(own, text, 0o644); err != nil { //nolint:gosec // public
		return err
	}
	return os.WriteFile(own+signature.Suffix, signed, 0o644) //nolint:gosec // public
}

// openSecret reads the secret half of a key, which may have a password.
func openSecret(path, password string) (minisign.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return minisign.PrivateKey{}, err
	}
	text = bytes.TrimSpace(text)
	if minisign.IsEncrypted(text) {
		return minisign.DecryptKey(password, text)
	}
	var key minisign.PrivateKey
	err = key.UnmarshalText(text)
	return key, err
}

// trust reads a signing key and its signature, and checks them.
func trust(rootsFile, keyFile string) (k signature.Key, text, signed []byte, err error) {
	rootsText, err := os.ReadFile(rootsFile)
	if err != nil {
		return k, nil, nil, fmt.Errorf("read the root keys: %w", err)
	}
	roots, err := signature.Roots(rootsText)
	if err != nil {
		return k, nil, nil, fmt.Errorf("%s: %w", rootsFile, err)
	}
	if text, err = os.ReadFile(keyFile); err != nil {
		return k, nil, nil, fmt.Errorf("read the signing key: %w", err)
	}
	if signed, err = os.ReadFile(keyFile + signature.Suffix); err != nil {
		return k, nil, nil, fmt.Errorf("read the root key's signature of the signing key: %w", err)
	}
	k, err = signature.Trust(roots, text, signed, now())
	return k, text, signed, err
}
