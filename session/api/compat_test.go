package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wavryhost/session/api/content"
)

var accept = flag.Bool("accept", false, "write the contracts although they break the former ones")

// contractFile is the document that clients rely on.
const contractFile = "../../testdata/contracts/openapi.json"

// howToAccept says how to change the contract deliberately.
const howToAccept = `clients rely on this. To change it all the same:
  1. add a line "[CHANGE] api: …" to CHANGELOG.md that says what clients must do
  2. scripts/go test ./session/api -run TestDocumentIsCompatible -accept`

// The API keeps its promises. What was added is recorded by make generate.
func TestDocumentIsCompatible(t *testing.T) {
	recorded, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer(t, Config{}, healthy())
	found := breaks(parse(t, recorded), parse(t, s.spec.Document()))
	switch {
	case len(found) > 0 && !*accept:
		t.Fatalf("%s\n%s", strings.Join(found, "\n"), howToAccept)
	case *accept || *update:
		if err := os.WriteFile(contractFile, s.spec.Document(), 0o644); err != nil { //nolint:gosec // everybody may read it
			t.Fatal(err)
		}
	case !bytes.Equal(recorded, s.spec.Document()):
		t.Errorf("the API has additions that %s lacks: run make generate", contractFile)
	}
}

func parse(t *testing.T, document []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(document, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

type object = map[string]any

func part(o object, key string) object { v, _ := o[key].(object); return v }

// breaks returns what clients of the document before cannot rely on in the document after. Additions are not breaks:
// paths, fields of answers, words of sets, errors, optional parameters and optional fields of requests.
func breaks(before, after object) []string {
	c := &comparison{before: before, after: after, seen: map[string]bool{}}
	c.version()
	for path, v := range each(part(before, "paths")) {
		methods, ok := part(after, "paths")[path].(object)
		if !ok {
			c.found("path %s is gone", path)
			continue
		}
		for method, v := range each(v.(object)) {
			where := strings.ToUpper(method) + " " + path
			op, ok := methods[method].(object)
			if !ok {
				c.found("%s is gone", where)
				continue
			}
			c.operation(where, v.(object), op)
		}
	}
	for name, v := range each(part(part(before, "components"), "schemas")) {
		// Words are missing from a set, such as the error codes, wherever it is used.
		now, ok := part(part(after, "components"), "schemas")[name].(object)
		if old := v.(object); ok && old["enum"] != nil {
			c.enum("schema "+name, old, now)
		}
	}
	slices.Sort(c.list)
	return slices.Compact(c.list)
}

// each iterates over o in order.
func each(o object) func(func(string, any) bool) {
	return func(yield func(string, any) bool) {
		for _, k := range slices.Sorted(maps.Keys(o)) {
			if !yield(k, o[k]) {
				return
			}
		}
	}
}

type comparison struct {
	before, after object
	list          []string
	seen          map[string]bool // pairs of references that were compared, of answers or of requests
}

func (c *comparison) found(format string, args ...any) {
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

func (c *comparison) version() {
	major := func(o object) string {
		v, _ := part(o, "info")["version"].(string)
		m, _, _ := strings.Cut(v, ".")
		return m
	}
	if a, b := major(c.before), major(c.after); a != b {
		c.found("version %s.x became %s.x: if that is meant, release the document under a path of its own", a, b)
	}
}

// secured reports whether an operation requires a credential. An empty list, or none, requires no credential.
func secured(o object) bool {
	list, _ := o["security"].([]any)
	return len(list) > 0
}

func (c *comparison) operation(where string, before, after object) {
	if before["operationId"] != after["operationId"] {
		c.found("%s: operationId %v became %v, which renames generated methods", where, before["operationId"],
			after["operationId"])
	}
	if !secured(before) && secured(after) {
		c.found("%s needs a token", where)
	}
	c.parameters(where, before, after)
	c.request(where, part(before, "requestBody"), part(after, "requestBody"))
	for status, v := range each(part(before, "responses")) {
		if status >= "400" {
			continue // which errors come is no promise; their shape is compared with the schemas
		}
		r, ok := part(after, "responses")[status].(object)
		if !ok {
			c.found("%s does not answer %s", where, status)
			continue
		}
		at := where + " " + status
		for name := range each(part(v.(object), "headers")) {
			if part(r, "headers")[name] == nil {
				c.found("%s: header %s is gone", at, name)
			}
		}
		for media, m := range each(part(v.(object), "content")) {
			now, ok := part(r, "content")[media].(object)
			if !ok {
				c.found("%s: %s is gone", at, media)
				continue
			}
			c.schema(at, part(m.(object), "schema"), part(now, "schema"), false)
		}
	}
}

func (c *comparison) parameters(where string, before, after object) {
	index := func(o object) object {
		out := object{}
		list, _ := o["parameters"].([]any)
		for _, p := range list {
			p := p.(object)
			out[fmt.Sprint(p["in"], " ", p["name"])] = p
		}
		return out
	}
	was, now := index(before), index(after)
	for name, v := range each(was) {
		if p, ok := now[name].(object); !ok {
			c.found("%s: parameter %s is gone", where, name)
		} else {
			if v.(object)["required"] != true && p["required"] == true {
				c.found("%s: parameter %s became required", where, name)
			}
			c.schema(where+" parameter "+name, part(v.(object), "schema"), part(p, "schema"), true)
		}
	}
	for name, v := range each(now) {
		if was[name] == nil && v.(object)["required"] == true {
			c.found("%s: parameter %s is new and required", where, name)
		}
	}
}

func (c *comparison) request(where string, before, after object) {
	if before == nil {
		if after["required"] == true {
			c.found("%s: a body became required", where)
		}
		return
	}
	if after == nil {
		c.found("%s takes no body", where)
		return
	}
	if before["required"] != true && after["required"] == true {
		c.found("%s: the body became required", where)
	}
	for media, v := range each(part(before, "content")) {
		now, ok := part(after, "content")[media].(object)
		if !ok {
			c.found("%s takes no %s", where, media)
			continue
		}
		c.schema(where+" body", part(v.(object), "schema"), part(now, "schema"), true)
	}
}

// resolve returns the schema behind a reference, and its name.
func resolve(doc, schema object) (object, string) {
	ref, _ := schema["$ref"].(string)
	name, ok := strings.CutPrefix(ref, schemaPrefix)
	if !ok {
		return schema, ""
	}
	return part(part(part(doc, "components"), "schemas"), name), name
}

func (c *comparison) schema(where string, before, after object, request bool) {
	before, old := resolve(c.before, before)
	after, now := resolve(c.after, after)
	if key := fmt.Sprint(old, "\n", now, "\n", request); old != "" || now != "" {
		if c.seen[key] {
			return
		}
		c.seen[key] = true
	}
	if old != "" {
		where = where + " (" + old + ")"
	}
	for _, key := range []string{"type", "format", "contentMediaType", "contentEncoding", "pattern"} {
		if key == "pattern" && request && moreWords(before[key], after[key]) {
			continue
		}
		if !reflect.DeepEqual(before[key], after[key]) && (before[key] != nil || request || key == "type") {
			c.found("%s: %s %v became %v", where, key, before[key], after[key])
		}
	}
	c.enum(where, before, after)
	if request {
		c.limits(where, before, after)
	}
	c.properties(where, before, after, request)
	if items := part(before, "items"); items != nil {
		c.schema(where+"[]", items, part(after, "items"), request)
	}
	was, _ := before["oneOf"].([]any)
	is, _ := after["oneOf"].([]any)
	for i, v := range was {
		k := counterpart(is, v.(object), i)
		if k < 0 {
			c.found("%s: alternative %d is gone", where, i)
			break
		}
		c.schema(fmt.Sprintf("%s alternative %d", where, i), v.(object), is[k].(object), request)
	}
}

// wordList matches the patterns of parameters that are lists of words, such as the fields of sessions.
var wordList = regexp.MustCompile(`^\^\(([a-z0-9_|]+)\)\(,\(([a-z0-9_|]+)\)\)\*\$$`)

// moreWords reports whether a list of words accepts all words of another.
func moreWords(before, after any) bool {
	words := func(pattern any) []string {
		text, _ := pattern.(string)
		found := wordList.FindStringSubmatch(text)
		if found == nil || found[1] != found[2] {
			return nil
		}
		return strings.Split(found[1], "|")
	}
	was, is := words(before), words(after)
	return was != nil && !slices.ContainsFunc(was, func(w string) bool { return !slices.Contains(is, w) })
}

// counterpart returns the index of an alternative in a list: a reference by its name, as an alternative may be added
// anywhere, and others by their place. It returns -1 if there is none.
func counterpart(list []any, alternative object, place int) int {
	ref, named := alternative["$ref"]
	for i, v := range list {
		if named && v.(object)["$ref"] == ref {
			return i
		}
	}
	if named || place >= len(list) {
		return -1
	}
	return place
}

func (c *comparison) enum(where string, before, after object) {
	was, _ := before["enum"].([]any)
	is, limited := after["enum"].([]any)
	for _, w := range was {
		if limited && !slices.Contains(is, w) {
			c.found("%s: the word %v is gone", where, w)
		}
	}
	if len(was) == 0 && limited {
		c.found("%s is limited to %v", where, is)
	}
}

// limits finds values that a request may no longer have.
func (c *comparison) limits(where string, before, after object) {
	for key, lower := range map[string]bool{
		"minimum": true, "minLength": true, "minItems": true, "maximum": false, "maxLength": false, "maxItems": false,
	} {
		is, limited := after[key].(float64)
		was, ok := before[key].(float64)
		if limited && (!ok || lower && is > was || !lower && is < was) {
			c.found("%s: %s %v became %v", where, key, before[key], is)
		}
	}
}

func (c *comparison) properties(where string, before, after object, request bool) {
	required := func(o object, name string) bool {
		list, _ := o["required"].([]any)
		return slices.Contains(list, any(name))
	}
	was, is := part(before, "properties"), part(after, "properties")
	for name, v := range each(was) {
		p, ok := is[name].(object)
		if !ok {
			c.found("%s: field %s is gone", where, name)
			continue
		}
		if request && !required(before, name) && required(after, name) {
			c.found("%s: field %s became required", where, name)
		}
		if !request && required(before, name) && !required(after, name) {
			c.found("%s: field %s may be missing", where, name)
		}
		c.schema(where+"."+name, v.(object), p, request)
	}
	for name := range each(is) {
		if request && was[name] == nil && required(after, name) {
			c.found("%s: field %s is new and required", where, name)
		}
	}
}

// The comparison finds each kind of break by name, and accepts additions.
func TestBreaksAreFound(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	schema := func(doc object, name string) object { return part(part(part(doc, "components"), "schemas"), name) }
	property := func(doc object, name, field string) object {
		return part(part(schema(doc, name),
			"properties"), field)
	}
	op := func(doc object, path, method string) object { return part(part(part(doc, "paths"), path), method) }
	without := func(list any, word string) []any {
		return slices.DeleteFunc(slices.Clone(list.([]any)), func(v any) bool { return v == word })
	}
	fields := func(doc object, from, to string) { // that the list of sessions may have
		for _, p := range op(doc, "/v1/sessions", "get")["parameters"].([]any) {
			if schema := part(p.(object), "schema"); p.(object)["name"] == "fields" {
				schema["pattern"] = strings.ReplaceAll(schema["pattern"].(string), from, to)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(doc object)
		want   []string // parts of what is found, in order; none where nothing may be
	}{
		{"nothing", func(object) {}, nil},
		{"path removed", func(d object) { delete(part(d, "paths"), "/v1/host") }, []string{"path /v1/host is gone"}},
		{
			"method removed", func(d object) { delete(part(part(d, "paths"), "/v1/drain"), "delete") },
			[]string{"DELETE /v1/drain is gone"},
		},
		{
			"operation renamed", func(d object) { op(d, "/v1/host", "get")["operationId"] = "x" },
			[]string{"operationId getHost became x"},
		},
		{"token needed", func(d object) {
			op(d, "/healthz",
				"get")["security"] = []any{object{"token": []any{}}}
		}, []string{"GET /healthz needs a token"}},
		{"status changed", func(d object) {
			r := part(op(d, "/v1/drain", "put"), "responses")
			r["202"], r["200"] = r["200"], nil
		}, []string{"PUT /v1/drain does not answer 200"}},
		{"media type changed", func(d object) {
			bodies := part(part(part(op(d, "/v1/host", "get"), "responses"), "200"), "content")
			bodies["text/json"] = bodies[content.JSON]
			delete(bodies, content.JSON)
		}, []string{"GET /v1/host 200: application/json is gone"}},
		{"header removed", func(d object) {
			delete(part(part(part(op(d, "/whep/{display}", "post"), "responses"), "201"), "headers"), "ETag")
		}, []string{"POST /whep/{display} 201: header ETag is gone"}},
		{
			"field removed", func(d object) { delete(part(schema(d, "Session"), "properties"), "loss") },
			[]string{"(Session): field loss is gone"},
		},
		{"field may be missing", func(d object) {
			schema(d, "Session")["required"] = without(schema(d, "Session")["required"], "loss")
		}, []string{"(Session): field loss may be missing"}},
		{
			"type changed", func(d object) { property(d, "Session", "loss")["type"] = "string" },
			[]string{"loss: type number became string"},
		},
		{
			"type widened", func(d object) { property(d, "Session", "loss")["type"] = []any{"number", "null"} },
			[]string{"loss: type number became"},
		},
		{
			"format changed", func(d object) { property(d, "Session", "created")["format"] = "date" },
			[]string{"created: format date-time became date"},
		},
		{"list's items changed", func(d object) {
			property(d, "SessionList", "sessions")["items"] = object{"type": "string"}
		}, []string{"sessions[] (SessionItem): field achieved_bitrate is gone"}},
		{"word removed", func(d object) {
			schema(d, "Quality")["enum"] = without(schema(d, "Quality")["enum"], "stalled")
		}, []string{"the word stalled is gone"}},
		{"error code removed", func(d object) {
			schema(d, "ErrorCode")["enum"] = without(schema(d, "ErrorCode")["enum"], "full")
		}, []string{"schema ErrorCode: the word full is gone"}},
		{"request's field became required", func(d object) {
			schema(d,
				"Cordoning")["required"] = []any{"note"}
		}, []string{"note became required"}},
		{"request's field removed", func(d object) {
			delete(part(schema(d, "Cordoning"), "properties"),
				"note")
		}, []string{"field note is gone"}},
		{"request's new field required", func(d object) {
			part(schema(d, "Cordoning"), "properties")["x"] = object{"type": "string"}
			schema(d, "Cordoning")["required"] = []any{"x"}
		}, []string{"field x is new and required"}},
		{"body became required", func(d object) {
			part(op(d, "/v1/cordon", "put"), "requestBody")["required"] = true
		}, []string{"PUT /v1/cordon: the body became required"}},
		{"new body required", func(d object) {
			op(d, "/v1/drain", "delete")["requestBody"] = object{"required": true}
		}, []string{"DELETE /v1/drain: a body became required"}},
		{"body's type changed", func(d object) {
			part(op(d, "/whep/{display}", "post"), "requestBody")["content"] = object{"text/plain": object{}}
		}, []string{"POST /whep/{display} takes no application/sdp"}},
		{
			"limit lowered", func(d object) { property(d, "Draining", "deadline_seconds")["maximum"] = 60.0 },
			[]string{"maximum 86400 became 60"},
		},
		{
			"limit raised", func(d object) { property(d, "Draining", "deadline_seconds")["minimum"] = 1.0 },
			[]string{"minimum 0 became 1"},
		},
		{
			"shorter text", func(d object) { property(d, "Cordoning", "note")["maxLength"] = 10.0 },
			[]string{"maxLength 200 became 10"},
		},
		{"parameter removed", func(d object) {
			o := op(d, "/v1/events", "get")
			o["parameters"] = o["parameters"].([]any)[1:]
		}, []string{"GET /v1/events: parameter query after is gone"}},
		{"parameter became required", func(d object) {
			op(d, "/v1/events", "get")["parameters"].([]any)[0].(object)["required"] = true
		}, []string{"parameter query after became required"}},
		{"new parameter required", func(d object) {
			op(d, "/v1/host", "get")["parameters"] = []any{object{"in": "query", "name": "x", "required": true}}
		}, []string{"parameter query x is new and required"}},
		{
			"word of a list removed", func(d object) { fields(d, "|codec|", "|") }, []string{"query fields: pattern"},
		},
		{"alternative removed", func(d object) {
			part(part(part(part(part(op(d, "/v1/events", "get"), "responses"), "200"), "content"), typeEvents),
				"schema")["oneOf"] = []any{
				object{"$ref": schemaPrefix + "Event"},
			}
		}, []string{"alternative 1 is gone"}},
		{"major version", func(d object) { part(d, "info")["version"] = "2.0.0" }, []string{"version 1.x became 2.x"}},

		{"kind of event added", func(d object) {
			list := schema(d, "Event")["oneOf"].([]any)
			schema(d, "Event")["oneOf"] = slices.Insert(list, 1, any(object{"$ref": schemaPrefix + "Quality"}))
		}, nil},
		{"path added", func(d object) { part(d, "paths")["/v1/new"] = object{"get": object{}} }, nil},
		{"answer's field added", func(d object) {
			part(schema(d, "Session"),
				"properties")["x"] = object{"type": "string"}
		}, nil},
		{"word added", func(d object) {
			schema(d, "Quality")["enum"] = append(schema(d,
				"Quality")["enum"].([]any), "x")
		}, nil},
		{"word of a list added", func(d object) { fields(d, "|codec|", "|codec|new_field|") }, nil},
		{"optional field of a request added", func(d object) {
			part(schema(d, "Cordoning"),
				"properties")["x"] = object{"type": "string"}
		}, nil},
		{"field of a request became optional", func(d object) { delete(schema(d, "Draining"), "required") }, nil},
		{"limit widened", func(d object) { property(d, "Draining", "deadline_seconds")["maximum"] = 1e6 }, nil},
		{"description changed", func(d object) { property(d, "Session", "loss")["description"] = "x" }, nil},
		{"error added", func(d object) { part(op(d, "/v1/host", "get"), "responses")["409"] = object{} }, nil},
		{"said that no token is needed", func(d object) { op(d, "/healthz", "get")["security"] = []any{} }, nil},
		{"token no longer needed", func(d object) { delete(op(d, "/v1/host", "get"), "security") }, nil},
		{"minor version", func(d object) { part(d, "info")["version"] = "1.1.0" }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := parse(t, s.spec.Document())
			c.change(doc)
			got := breaks(parse(t, s.spec.Document()), doc)
			for _, want := range c.want {
				if !slices.ContainsFunc(got, func(text string) bool { return strings.Contains(text, want) }) {
					t.Errorf("found %q; want %q among it", got, want)
				}
			}
			if len(c.want) == 0 && len(got) > 0 {
				t.Errorf("found %q where nothing breaks", got)
			}
		})
	}
}
