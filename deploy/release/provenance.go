package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// provenanceSuffix ends the name of the provenance in a release.
const provenanceSuffix = "_provenance.intoto.json"

// provenanceCmd writes how the files of a release were made: an in-toto statement with SLSA's provenance, version 1. It
// is signed like the other files.
type provenanceCmd struct {
	Dir     string `arg:"" help:"Folder with the files of the release."`
	Version string `required:"" help:"Version of the release."`
	Commit  string `required:"" help:"Commit that it is made from."`
	Epoch   int64  `required:"" help:"Time of the commit, in seconds since 1970."`
	Go      string `required:"" help:"Release of Go."`
	Source  string `help:"Address of the source code."`
	Lock    string `default:"deploy/release/inputs.lock" help:"The pinned inputs."`
}

// statement is an in-toto statement (https://in-toto.io/Statement/v1).
type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     provenance   `json:"predicate"`
}

// descriptor names an artifact by its digest.
type descriptor struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

// provenance is https://slsa.dev/provenance/v1.
type provenance struct {
	Build struct {
		Type         string            `json:"buildType"`
		External     map[string]string `json:"externalParameters"`
		Dependencies []descriptor      `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	Run struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Metadata struct {
			Invocation string `json:"invocationId"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

// Run is called by kong.
func (c *provenanceCmd) Run() error {
	s, err := c.make()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	name := "wavry-host_" + strings.TrimPrefix(c.Version, "v") + provenanceSuffix
	return os.WriteFile(filepath.Join(c.Dir, name), append(text, '\n'), 0o644) //nolint:gosec // public
}

func (c *provenanceCmd) make() (*statement, error) {
	inputs, err := readLock(c.Lock)
	if err != nil {
		return nil, err
	}
	files, err := artifacts(c.Dir)
	if err != nil {
		return nil, err
	}
	s := &statement{
		Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1", Subject: []descriptor{},
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name, provenanceSuffix) {
			s.Subject = append(s.Subject, descriptor{Name: f.Name, Digest: map[string]string{"sha256": f.SHA256}})
		}
	}
	// No build service is involved: the type and the builder name the script.
	build := &s.Predicate.Build
	build.Type = "urn:wavry-host:scripts/release:v1"
	build.External = map[string]string{
		"version": c.Version, "source": c.Source, "source_date_epoch": time.Unix(c.Epoch, 0).UTC().Format(time.RFC3339),
		"go": c.Go,
	}
	build.Dependencies = []descriptor{{
		Name: "wavry-host", URI: c.Source, Digest: map[string]string{"gitCommit": c.Commit},
	}}
	for _, i := range inputs {
		build.Dependencies = append(build.Dependencies, descriptor{
			Name: i.File, URI: "pkg:deb/debian/" + i.Package + "@" + i.Version, Digest: map[string]string{"sha256": i.SHA256},
		})
	}
	s.Predicate.Run.Builder.ID = "urn:wavry-host:scripts/release"
	s.Predicate.Run.Metadata.Invocation = c.Version + "@" + c.Commit
	return s, nil
}
