// Package manifests checks the examples in deploy/fleet by the types of Kubernetes, of the Prometheus operator and of
// Nomad. It is a module of its own, so that the product does not depend on them.
package manifests

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	nomad "github.com/hashicorp/nomad/api"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const folder = "../../deploy/fleet/"

// decode reads a document into v. A field that its type does not have, or has with another type, is an error.
func decode(t *testing.T, document []byte, v any) error {
	t.Helper()
	return yaml.UnmarshalStrict(document, v)
}

func TestKubernetesTakesTheManifest(t *testing.T) {
	text, err := os.ReadFile(folder + "kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(text, []byte("\n---\n"))
	kinds := []any{&core.ConfigMap{}, &apps.DaemonSet{}, &monitoring.PodMonitor{}}
	if len(documents) != len(kinds) {
		t.Fatalf("got %d documents; want %d", len(documents), len(kinds))
	}
	for i, v := range kinds {
		if err := decode(t, documents[i], v); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
	set, _ := kinds[1].(*apps.DaemonSet)
	pod := set.Spec.Template
	for name, value := range set.Spec.Selector.MatchLabels {
		if pod.Labels[name] != value {
			t.Errorf("the pods lack the label %s: %s of the selector", name, value)
		}
	}
	mounted, volumes := make(map[string]bool), make(map[string]bool)
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range pod.Spec.Containers {
		for _, m := range c.VolumeMounts {
			mounted[m.Name] = true
		}
	}
	if !reflect.DeepEqual(mounted, volumes) {
		t.Errorf("mounted are %v of the volumes %v", mounted, volumes)
	}
	// The check is one only if it refuses what is broken.
	for _, broken := range []string{"hostNetwork", "terminationGracePeriodSeconds", "readOnlyRootFilesystem"} {
		bad := bytes.ReplaceAll(documents[1], []byte(broken), []byte(broken+"s"))
		if decode(t, bad, &apps.DaemonSet{}) == nil {
			t.Errorf("%ss is accepted", broken)
		}
	}
}

// job parses a job of Nomad, and returns what its types do not have.
func job(t *testing.T, text []byte) (unknown []string) {
	t.Helper()
	file, diagnostics := hclsyntax.ParseConfig(text, "job", hcl.InitialPos)
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	body, _ := file.Body.(*hclsyntax.Body)
	if len(body.Blocks) != 1 || body.Blocks[0].Type != "job" {
		t.Fatal("there is no job")
	}
	return compare("job", body.Blocks[0].Body, reflect.TypeFor[nomad.Job]())
}

// compare returns the attributes and blocks of a body that a type of Nomad does not have.
func compare(path string, body *hclsyntax.Body, of reflect.Type) (unknown []string) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil // a map: its names are free
	}
	fields := make(map[string]reflect.Type)
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("hcl"), ",")
		fields[name] = field.Type
	}
	for name := range body.Attributes {
		if fields[name] == nil {
			unknown = append(unknown, path+"."+name)
		}
	}
	for _, b := range body.Blocks {
		own := path + "." + b.Type
		switch field, network := fields[b.Type], of == reflect.TypeFor[nomad.NetworkResource](); {
		case field != nil:
			unknown = append(unknown, compare(own, b.Body, field)...)
		case network && b.Type == "port": // Nomad sorts ports into two fields
			unknown = append(unknown, compare(own, b.Body, reflect.TypeFor[nomad.Port]())...)
		default:
			unknown = append(unknown, own)
		}
	}
	return unknown
}

func TestNomadTakesTheJob(t *testing.T) {
	text, err := os.ReadFile(folder + "wavry-host.nomad.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if unknown := job(t, text); len(unknown) > 0 {
		t.Errorf("Nomad has no %v", unknown)
	}
	for _, broken := range []string{"kill_timeout", "node_pool", "stagger", "static", "restart"} {
		if len(job(t, bytes.ReplaceAll(text, []byte(broken), []byte(broken+"s")))) == 0 {
			t.Errorf("%ss is accepted", broken)
		}
	}
}
