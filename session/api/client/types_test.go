package client

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/format"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the types of the document")

// document is the OpenAPI document, which a test of package api keeps equal to what the daemon serves.
const document = "../../../docs/integrate/openapi.json"

// renamed gives schemas a name that says what they are for, and makes one type of a list's items and the whole.
var renamed = map[string]string{
	"Opening": "SessionRequest", "Opened": "NewSession", "Changing": "SessionChange", "SessionItem": "Session",
	"Reserving": "ReservationRequest", "Reserved": "NewReservation", "ReservationItem": "Reservation",
	"Draining": "DrainRequest", "Cordoning": "CordonRequest", "Revoking": "RevocationRequest",
	"Sizing":      "DisplaySize",
	"HandingOver": "HandoverRequest",
	"Reloading":   "ReloadRequest", "Reloaded": "Reload", "IceServer": "ICEServer", "ServerStatus": "RelayStatus",
	"ErrorCode": "Code", "Renewing": "", "Revocation": "", "DisplayList": "", "Health": "", "Readiness": "", "Gap": "",
}

// generated lists the files of types, with the schemas that each begins with. A schema that no file names is in the
// last one.
var generated = []struct {
	file  string
	takes func(name string, s schema) bool
}{
	{"events_words.go", func(name string, s schema) bool { return s.Enum != nil && strings.HasPrefix(name, "Event") }},
	{"words.go", func(_ string, s schema) bool { return s.Enum != nil }},
	{"requests.go", func(_ string, s schema) bool { return s.Additional == false }},
	{"events_types.go", func(name string, _ schema) bool { return name == "Event" || name == "Totals" }},
	{"sessions_types.go", func(name string, _ schema) bool {
		return slices.Contains([]string{
			"Session", "SessionList", "NewSession", "Transition", "Timeline", "Reservation", "ReservationList",
			"NewReservation",
			"ICEServer",
		}, name)
	}},
	{"links_types.go", func(name string, _ schema) bool {
		return slices.Contains([]string{
			"FleetLink", "GatewayLink", "RelayStatus", "ProgramTrial", "SelfProbe", "Handover", "FormerDaemon",
		}, name)
	}},
	{"types.go", func(string, schema) bool { return true }},
}

type schema struct {
	Ref         string `json:"$ref"`
	Const       string
	Type        string
	Format      string
	Description string
	Enum        []string
	Properties  map[string]schema
	Required    []string
	Items       *schema
	Additional  any `json:"additionalProperties"`
}

// schemas reads the schemas of the document, by the names of their types.
func schemas(t *testing.T) map[string]schema {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	all := map[string]schema{}
	event := schema{
		Description: "Event is something that happened. Kind says which fields it has.",
		Properties:  map[string]schema{},
	}
	maps.Copy(event.Properties, doc.Components.Schemas["Gap"].Properties)
	kinds := schema{Enum: []string{"gap"}}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		s := doc.Components.Schemas[name]
		switch as, ok := renamed[name]; {
		case strings.HasSuffix(name, "Event") && name != "Event":
			for field, p := range s.Properties {
				if field == "kind" {
					kinds.Enum, p.Ref = append(kinds.Enum, p.Const), "EventKind"
				}
				event.Properties[field] = p
			}
		case name == "Event" || ok && as == "":
		case ok:
			all[as] = s
		default:
			all[name] = s
		}
	}
	all["Event"], all["EventKind"] = event, kinds
	return all
}

// The types are the schemas of the document.
func TestTypes(t *testing.T) {
	all := schemas(t)
	for _, g := range generated {
		var b strings.Builder
		b.WriteString("// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.\n\n" +
			"package client\n\n")
		if !strings.HasSuffix(g.file, "words.go") {
			b.WriteString("import \"time\"\n\n")
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if s := all[name]; g.takes(name, s) {
				declare(&b, name, s)
				delete(all, name)
			}
		}
		text := b.String()
		if !strings.Contains(text, "time.Time") {
			text = strings.Replace(text, "import \"time\"\n\n", "", 1)
		}
		want, err := format.Source([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v\n%s", g.file, err, text)
		}
		if *update {
			if err := os.WriteFile(g.file, want, 0o644); err != nil { //nolint:gosec // everybody may read it
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(g.file); err != nil || string(got) != string(want) {
			t.Errorf("%s differs from the document (%v): run make generate", g.file, err)
		}
	}
}

// declare writes a type.
func declare(b *strings.Builder, name string, s schema) {
	text := s.Description
	if !strings.HasPrefix(text, name+" ") {
		text = name + " is the schema of that name in the OpenAPI document."
		if s.Enum != nil {
			text = name + " is a word of a set. Later versions may add words."
		}
	}
	comment(b, "", text)
	if s.Enum != nil {
		fmt.Fprintf(b, "type %s string\n\n// The words of %s.\nconst (\n", name, name)
		for _, w := range s.Enum {
			fmt.Fprintf(b, "\t%s%s %s = %q\n", name, goName(w), name, w)
		}
		b.WriteString(")\n\n")
		return
	}
	fmt.Fprintf(b, "type %s struct {\n", name)
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[field]
		kind, tag := goType(name, p), field
		if !slices.Contains(s.Required, field) {
			tag += ",omitempty"
			switch {
			case kind == "time.Time":
				tag = field + ",omitzero"
			case name == "SessionChange" || p.Ref != "" && p.isObject(kind):
				kind = "*" + kind
			}
		}
		comment(b, "\t", p.Description)
		fmt.Fprintf(b, "\t%s %s `json:%q`\n", goName(field), kind, tag)
	}
	b.WriteString("}\n\n")
}

// isObject reports whether a reference is to a struct.
func (schema) isObject(kind string) bool {
	return slices.Contains([]string{"Load", "GatewayLink", "CordonStatus", "DrainStatus", "Totals", "Transition"}, kind)
}

// goType returns the Go type of a field.
func goType(owner string, p schema) string {
	switch {
	case p.Ref != "":
		name := p.Ref[strings.LastIndex(p.Ref, "/")+1:]
		if as := renamed[name]; as != "" {
			return as
		}
		return name
	case p.Type == "array":
		return "[]" + goType(owner, *p.Items)
	case p.Type == "object":
		if m, ok := p.Additional.(map[string]any); ok {
			return "map[string]" + goType(owner, schema{Type: fmt.Sprint(m["type"])})
		}
		return "map[string]any"
	case p.Type == "integer" && owner == "Event":
		return "uint64" // numbers of events
	case p.Type == "integer":
		return "int"
	case p.Type == "number":
		return "float64"
	case p.Type == "boolean":
		return "bool"
	case p.Format == "date-time":
		return "time.Time"
	default:
		return "string"
	}
}

// goName returns the Go name of a word or a field.
func goName(word string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return strings.ContainsRune("_-.:", r) }) {
		switch up := strings.ToUpper(part); up {
		case "ID", "URL", "ICE", "SDP", "RTT", "API", "CPU", "GPU", "FPS", "TLS", "DNS", "UDP", "TCP", "PLI", "DTLS",
			"NACK", "TURN", "STUN", "HTTP", "JSON", "KB", "RTP", "IP":
			b.WriteString(up)
		case "URLS", "GPUS", "IDS":
			b.WriteString(up[:len(up)-1] + "s")
		case "ETAG":
			b.WriteString("ETag")
		default:
			b.WriteString(up[:1] + part[1:])
		}
	}
	return b.String()
}

// comment writes a comment that ends at 110 columns.
func comment(b *strings.Builder, indent, text string) {
	line := ""
	for w := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(w) > 110 {
			b.WriteString(indent + "// " + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	if line != "" {
		b.WriteString(indent + "// " + line + "\n")
	}
}
