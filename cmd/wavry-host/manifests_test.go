package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/cmd/wavry-host/config"

	"go.yaml.in/yaml/v3"
)

// manifests is the folder of the examples for fleets.
const manifests = "../../deploy/fleet"

// daemonSet has what the tests read of a DaemonSet.
type daemonSet struct {
	Spec struct {
		Template struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Args  []string
					Env   []struct{ Name, Value string }
					Ports []struct {
						Name          string
						ContainerPort string `yaml:"containerPort"`
					}
					Readiness probe `yaml:"readinessProbe"`
					Liveness  probe `yaml:"livenessProbe"`
					Lifecycle struct {
						PreStop struct {
							Exec struct{ Command []string }
						} `yaml:"preStop"`
					}
				}
			}
		}
	}
}

type probe struct {
	HTTP struct{ Path, Port string } `yaml:"httpGet"`
}

// parses reports whether a command line of the product is understood; it does not run it.
func parses(line []string) error {
	var grammar cli
	parser, err := newParser(&grammar, &app{stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		return err
	}
	_, err = parser.Parse(withCommand(line))
	return err
}

// read returns a manifest.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(manifests, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The example for Kubernetes has a configuration, commands, ports, paths and times that fit the product.
func TestKubernetesManifest(t *testing.T) {
	documents := strings.Split(read(t, "kubernetes.yaml"), "\n---\n")
	var (
		settings struct{ Data map[string]string }
		set      daemonSet
		monitor  struct {
			Spec struct {
				Endpoints []struct{ Port, Path string } `yaml:"podMetricsEndpoints"`
			}
		}
	)
	for i, v := range []any{&settings, &set, &monitor} {
		if err := yaml.Unmarshal([]byte(documents[i]), v); err != nil {
			t.Fatal(err)
		}
	}
	path := write(t, "config.yaml", settings.Data["config.yaml"])
	l, err := config.Load(config.Sources{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	c := set.Spec.Template.Spec.Containers[0]
	if err := parses(c.Args); err != nil {
		t.Errorf("%q: %v", c.Args, err)
	}
	_, port, _ := net.SplitHostPort(l.API.Listen)
	if c.Ports[0].ContainerPort != port || monitor.Spec.Endpoints[0].Port != c.Ports[0].Name {
		t.Errorf("the ports are %+v and %+v; the API has %s", c.Ports, monitor.Spec.Endpoints, port)
	}
	document, err := os.ReadFile("../../docs/integrate/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{c.Readiness.HTTP.Path, c.Liveness.HTTP.Path, monitor.Spec.Endpoints[0].Path} {
		if !bytes.Contains(document, []byte(`"`+p+`":`)) {
			t.Errorf("the API has no path %q", p)
		}
	}
	if env := []string{c.Env[0].Name + "=" + c.Env[0].Value}; stateFolder(env) != c.Env[0].Value {
		t.Errorf("%v gives no state folder", env)
	}
	stop := c.Lifecycle.PreStop.Exec.Command[2]
	deadline := time.Duration(0)
	for one := range strings.SplitSeq(stop, ";") {
		line := words(strings.TrimSpace(one))
		if line[0] != "wavry-host" {
			t.Errorf("%q is not a command of ours", one)
		}
		if err := parses(line[1:]); err != nil {
			t.Errorf("%q: %v", one, err)
		}
		if i := slices.Index(line, "--deadline"); i >= 0 {
			deadline, _ = time.ParseDuration(line[i+1])
		}
	}
	if grace := time.Duration(set.Spec.Template.Spec.Grace) * time.Second; grace < deadline+l.Timeouts.Shutdown+settling {
		t.Errorf("a pod has %v to end; the drain takes %v and the stop %v", grace, deadline, l.Timeouts.Shutdown+settling)
	}
}

// words splits a command line of a shell. Text in single quotes is one word.
func words(line string) (list []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

var (
	nomadVariable = regexp.MustCompile(`(?m)^\s+(WAVRY_HOST_[A-Z_]+)\s*= "(.*)"$`)
	nomadArgs     = regexp.MustCompile(`(?m)^\s+args\s*= \[(.*)\]$`)
	unitCommand   = regexp.MustCompile(`(?m)^ExecStart=/usr/bin/wavry-host (.*)$`)
	unitVariable  = regexp.MustCompile(`(?m)^Environment=(WAVRY_FLEET_[A-Z]+)=`)
)

// The example for Nomad has variables, arguments and a port that fit the product.
func TestNomadManifest(t *testing.T) {
	text := read(t, "wavry-host.nomad.hcl")
	var env []string
	for _, m := range nomadVariable.FindAllStringSubmatch(text, -1) {
		env = append(env, m[1]+"="+m[2])
	}
	l, err := config.Load(config.Sources{Path: write(t, "config.yaml", ""), Env: env})
	if err != nil || l.Fleet.URL == "" || !l.Fleet.Events || len(l.Host.Labels) != 2 {
		t.Fatalf("%v: %v", env, err)
	}
	args := strings.Split(strings.ReplaceAll(nomadArgs.FindStringSubmatch(text)[1], `"`, ""), ", ")
	if err := parses(args); err != nil {
		t.Errorf("%q: %v", args, err)
	}
	if _, port, _ := net.SplitHostPort(l.API.Listen); !strings.Contains(text, "static = "+port) {
		t.Errorf("the port is not %s", port)
	}
}

// The example units have commands and variables of the product.
func TestUnitsOfTheFleet(t *testing.T) {
	list, err := filepath.Glob(filepath.Join(manifests, "*.service"))
	if err != nil || len(list) != 2 {
		t.Fatalf("got %v, %v", list, err)
	}
	for _, path := range list {
		text := read(t, filepath.Base(path))
		for _, m := range unitVariable.FindAllStringSubmatch(text, -1) {
			t.Setenv(m[1], "x")
		}
		if err := parses(strings.Fields(unitCommand.FindStringSubmatch(text)[1])); err != nil && !errors.Is(err, errHelp) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
