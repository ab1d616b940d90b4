package main

import (
	"runtime"
	"runtime/debug"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode/ffmpeg"
)

// The linker sets these in releases: -X main.version=v1.2.3 -X main.revision=COMMIT -X main.source=URL. The revision of
// other builds is what the go command knows of it, which depends on the folder that is built. source is the address of
// the source code.
var version, revision, source string

// build describes the version of this program.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Source   string `json:"source,omitempty"`
}

func thisBuild() build {
	b := build{
		Version: version, Revision: revision, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Source: source,
	}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Version == "" {
		b.Version = "unknown"
	}
	return b
}

func (b build) String() string {
	s := b.Version
	if b.Revision != "" {
		s += " revision " + b.Revision[:min(len(b.Revision), 12)]
	}
	if b.Modified {
		s += " modified"
	}
	return s + " " + b.Go + " " + b.Platform
}

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// versionReport is what "version --json" prints.
type versionReport struct {
	build
	ConfigSchemaVersion int              `json:"config_schema_version"`
	Libraries           []ffmpeg.Library `json:"libraries"`
}

// Run is called by kong.
func (c *versionCmd) Run(a *app) error {
	r := versionReport{thisBuild(), config.SchemaVersion, ffmpeg.Libraries()}
	if c.JSON {
		return writeJSON(a.stdout, r)
	}
	say(a.stdout, "wavry-host %s\n", r.build)
	for _, l := range r.Libraries {
		say(a.stdout, "%s %s\n", l.Name, l.Version)
	}
	if r.Source != "" {
		say(a.stdout, "source code: %s\n", r.Source)
	}
	return nil
}
