package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// sbomCmd prints a CycloneDX 1.5 document of what a program contains: Go modules, which the program itself states, and
// C libraries, which no tool for Go sees. It has no time and no serial number, so that it is the same each time.
type sbomCmd struct {
	Program  string `required:"" help:"The program."`
	Arch     string `required:"" enum:"amd64,arm64" help:"Its architecture."`
	Version  string `required:"" help:"Its version."`
	Lock     string `default:"deploy/release/inputs.lock" help:"The pinned inputs."`
	Licenses string `required:"" help:"The table of licenses that go-licenses writes."`
}

type component struct {
	Type        string     `json:"type"`
	Reference   string     `json:"bom-ref"`
	Name        string     `json:"name"`
	Version     string     `json:"version"`
	Description string     `json:"description,omitempty"`
	PURL        string     `json:"purl"`
	Hashes      []hash     `json:"hashes,omitempty"`
	Licenses    []license  `json:"licenses,omitempty"`
	Properties  []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	Expression string `json:"expression"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     bomMetadata  `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type bomMetadata struct {
	Component component `json:"component"`
}

type dependency struct {
	Reference string   `json:"ref"`
	On        []string `json:"dependsOn"`
}

// Run is called by kong.
func (c *sbomCmd) Run() error {
	b, err := c.make()
	if err != nil {
		return err
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(b)
}

func (c *sbomCmd) make() (*bom, error) {
	info, err := buildinfo.ReadFile(c.Program)
	if err != nil {
		return nil, fmt.Errorf("read the modules of the program: %w", err)
	}
	inputs, err := readLock(c.Lock)
	if err != nil {
		return nil, err
	}
	table, err := readLicenses(c.Licenses)
	if err != nil {
		return nil, err
	}
	self := "pkg:generic/wavry-host@" + c.Version
	b := &bom{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: bomMetadata{component{
		Type: "application", Reference: self, Name: "wavry-host", Version: c.Version, PURL: self,
		Licenses: []license{{"AGPL-3.0-only"}},
	}}}
	std := "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")
	b.Components = append(b.Components, component{
		Type: "library", Reference: std, Name: "std", Version: info.GoVersion, PURL: std, Licenses: []license{{
			"BSD-3-Clause",
		}},
	})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		found := table.of(m.Path)
		if len(found) == 0 {
			return nil, fmt.Errorf("the table of licenses has no line for the module %s, which is in the program",
				m.Path)
		}
		b.Components = append(b.Components, component{
			Type: "library", Reference: purl, Name: m.Path, Version: m.Version, PURL: purl,
			Licenses: []license{{strings.Join(found, " AND ")}}, Properties: []property{{"go:sum", m.Sum}},
		})
	}
	for _, i := range inputs {
		used, ok := codecs[i.Package]
		if !ok || i.Kind == "patches" || i.Target != "all" && i.Target != c.Arch {
			continue
		}
		arch := "source"
		if i.Kind == "tool" {
			arch = c.Arch
		}
		purl := "pkg:deb/debian/" + i.Package + "@" + strings.NewReplacer(":", "%3A", "+",
			"%2B").Replace(i.Version) + "?arch=" + arch
		b.Components = append(b.Components, component{
			Type: "library", Reference: purl, Name: i.Package, Version: i.upstream(), Description: used.part,
			PURL:   purl,
			Hashes: []hash{{"SHA-256", i.SHA256}}, Licenses: []license{{used.license}},
		})
	}
	on := make([]string, 0, len(b.Components))
	for _, one := range b.Components {
		on = append(on, one.Reference)
	}
	b.Dependencies = []dependency{{self, on}}
	return b, nil
}
