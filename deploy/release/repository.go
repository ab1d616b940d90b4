package main

import (
	"fmt"
	"os"
	"path/filepath"

	"wavryhost/deploy/signature"
)

// verifyCmd checks the signatures of a release before a repository offers it.
type verifyCmd struct {
	Dir   string `arg:"" help:"Folder with the files of the release."`
	Roots string `default:"deploy/signature/roots.pub" help:"The root keys."`
}

// Run is called by kong.
func (c *verifyCmd) Run() error {
	trusted, _, _, err := trust(c.Roots, filepath.Join(c.Dir, signature.KeyFile))
	if err != nil {
		return err
	}
	files, err := artifacts(c.Dir, manifestFile, sumsFile)
	if err != nil {
		return err
	}
	first := ""
	for _, f := range files {
		path := filepath.Join(c.Dir, f.Name)
		content, err := os.Open(path)
		if err != nil {
			return err
		}
		signed, err := os.ReadFile(path + signature.Suffix)
		if err != nil {
			content.Close()
			return fmt.Errorf("read the signature of %s: %w", f.Name, err)
		}
		version, err := trusted.Verify(path, content, signed)
		content.Close()
		if err != nil {
			return err
		}
		if first == "" {
			first = version
		}
		if version != first {
			return fmt.Errorf("%s is of version %s, and other files are of version %s", f.Name, version, first)
		}
	}
	if first == "" {
		return fmt.Errorf("%s has no files of a release", c.Dir)
	}
	return nil
}

// repositoryKeyCmd checks that a root key has signed the key of the package repositories.
type repositoryKeyCmd struct {
	Key   string `required:"" help:"Public half of the key, as gpg --armor --export prints it. The signature of a root key is in the same folder."` //nolint:lll // a struct tag is one line
	Roots string `default:"deploy/signature/roots.pub" help:"The root keys."`
}

// Run is called by kong.
func (c *repositoryKeyCmd) Run() error {
	rootsText, err := os.ReadFile(c.Roots)
	if err != nil {
		return fmt.Errorf("read the root keys: %w", err)
	}
	roots, err := signature.Roots(rootsText)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Roots, err)
	}
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return fmt.Errorf("read the key of the repositories: %w", err)
	}
	signed, err := os.ReadFile(c.Key + signature.Suffix)
	if err != nil {
		return fmt.Errorf("read the root key's signature of the key of the repositories: %w", err)
	}
	_, _, err = signature.Delegated(roots, signature.RepositoryKey, key, signed, now())
	return err
}
