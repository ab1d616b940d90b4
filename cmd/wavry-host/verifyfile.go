package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"wavryhost/deploy/signature"
)

// verifyFileCmd is "wavry-host verify".
type verifyFileCmd struct {
	Files []string `arg:"" name:"file" type:"path" help:"Files of a release, such as wavry-host_1.2.0_amd64.deb."`
	Root  string   `placeholder:"FILE" help:"Root key to trust. Default: the root keys of this program."`
	Key   string   `placeholder:"FILE" help:"Signing key. Default: wavry-signing.pub beside the file."`
	At    string   `placeholder:"DATE" help:"The date at which the signing key must be valid, such as 2026-12-31. Default: today."` //nolint:lll // a struct tag is one line
}

// Run is called by kong. It fails if one of the files is not what was released.
func (c *verifyFileCmd) Run(a *app) error {
	text := signature.BuiltIn
	at := time.Now()
	var err error
	if c.Root != "" {
		if text, err = os.ReadFile(c.Root); err != nil {
			return fmt.Errorf("read the root key: %w", err)
		}
	}
	if c.At != "" {
		if at, err = time.Parse(time.DateOnly, c.At); err != nil {
			return &coded{exitUsage, fmt.Errorf("--at is %q; want a date such as 2026-12-31", c.At)}
		}
	}
	roots, err := signature.Roots(text)
	if errors.Is(err, signature.ErrNoKey) && c.Root == "" {
		return fmt.Errorf("this build trusts no root key; name the one you trust: --root FILE")
	}
	if err != nil {
		return err
	}
	for _, file := range c.Files {
		keyFile := c.Key
		if keyFile == "" {
			keyFile = filepath.Join(filepath.Dir(file), signature.KeyFile)
		}
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return fmt.Errorf("read the signing key: %w; download it from where %s is", err, filepath.Base(file))
		}
		signed, err := os.ReadFile(keyFile + signature.Suffix)
		if err != nil {
			return fmt.Errorf("read the signature of the signing key: %w", err)
		}
		trusted, err := signature.Trust(roots, key, signed, at)
		if err != nil {
			return err
		}
		version, err := verifyFile(trusted, file)
		if err != nil {
			return err
		}
		say(a.stdout, "%s: good, version %s, signed by a key that is valid until %s\n", file, version,
			trusted.Until.Format(time.DateOnly))
	}
	return nil
}

// verifyFile checks a file by its signature file.
func verifyFile(key signature.Key, file string) (version string, err error) {
	content, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer content.Close()
	signed, err := os.ReadFile(file + signature.Suffix)
	if err != nil {
		return "", fmt.Errorf("read the signature: %w", err)
	}
	return key.Verify(file, content, signed)
}
