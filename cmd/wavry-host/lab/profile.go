package lab

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wavryhost/adapt/simulate"
)

//go:embed profiles
var builtIn embed.FS

// Profile is a network, and what a viewer behind it must get.
type Profile struct {
	// Name is the name of the file without its end.
	Name string `json:"name"`
	// About describes the network in a sentence.
	About string `json:"about"`
	// SameNetwork says that host and viewer are in one network, as in a home. Such sessions begin with a higher bitrate.
	SameNetwork bool `json:"same_network"`
	// ToViewer and ToHost are the two directions.
	ToViewer simulate.Link `json:"-"`
	ToHost   simulate.Link `json:"-"`
	// Goals is what a run must reach.
	Goals Goals `json:"-"`
}

// Goals are bounds for the figures of a run. Zero fields set none.
type Goals struct {
	FirstFrame    time.Duration // most, from the opening of the page
	LongestFreeze time.Duration // most
	Queue         time.Duration // most, 95 % of the time
	Good          float64       // least share of the time in the state good
	Usable        float64       // least share of the time in the states good and constrained
	FPS           float64       // least, in the mean
	Bitrate       float64       // least, in the mean, in bit/s
}

// longestTrace bounds how long the capacity of a profile is described; a run is shorter.
const longestTrace = time.Hour

// Builtin returns the profiles that the program contains.
func Builtin() ([]Profile, error) {
	files, err := fs.Glob(builtIn, "profiles/*.yaml")
	if err != nil {
		return nil, err
	}
	all := make([]Profile, 0, len(files))
	for _, file := range files {
		data, err := builtIn.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p, err := parse(file, data, func(name string) ([]byte, error) {
			return builtIn.ReadFile(path.Join("profiles", name))
		})
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Find returns the profile with a name that the program contains, or that of a file.
func Find(name string) (Profile, error) {
	if end := filepath.Ext(name); end == ".yaml" || end == ".yml" || strings.ContainsRune(name, filepath.Separator) {
		data, err := os.ReadFile(name)
		if err != nil {
			return Profile{}, fmt.Errorf("lab: read the profile: %w", err)
		}
		return parse(name, data, func(trace string) ([]byte, error) {
			if !filepath.IsAbs(trace) {
				trace = filepath.Join(filepath.Dir(name), trace)
			}
			return os.ReadFile(trace)
		})
	}
	all, err := Builtin()
	if err != nil {
		return Profile{}, err
	}
	names := make([]string, 0, len(all))
	for _, p := range all {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return Profile{}, fmt.Errorf("lab: no profile is named %q; there are %s. The name of a file ends in .yaml", name,
		strings.Join(names, ", "))
}
