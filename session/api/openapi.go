package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// apiVersion is the version of the API, which is not the daemon's: the second number grows with what is added, the first when something
// that clients may rely on goes. TestDocumentIsCompatible holds it to that.
const apiVersion = "1.1.0"

// extCodes lists, at an answer in the document, the error codes that come with its status.
const extCodes = "x-error-codes"

const schemaPrefix = "#/components/schemas/"

const about = "The HTTP API of a wavry-host daemon: WHEP (draft-ietf-wish-whep) for viewers, a control API in JSON for operators, health " +
	"and metrics for monitoring. docs/integrate/api.md of the project has it in prose.\n\n" +
	"Every GET answers HEAD too, and every path OPTIONS; any other method gets 405 with `Allow`. Every answer that is no success has the " +
	"schema Error, whose `code` is for programs; `x-error-codes` lists, for each operation and status, what `code` can be. Request bodies are " +
	"read strictly: an unknown field is refused. Later versions add paths, fields, values and codes, so clients leave alone what they do " +
	"not know."

// spec is the API's description: the document, and the schemas that request bodies are checked against.
type spec struct {
	registry huma.Registry
	document []byte
}

// describe makes the document of routes. It fails on what only a mistake in the routes' table can cause.
func describe(routes []route) (*spec, error) {
	sp := &spec{registry: huma.NewMapRegistry(schemaPrefix, schemaName)}
	if err := sp.define(reflect.TypeFor[problem.Body]()); err != nil {
		return nil, err
	}
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "wavry-host", Version: apiVersion, Description: about,
			License: &huma.License{Name: "GNU Affero General Public License, version 3", Identifier: "AGPL-3.0-only"},
		},
		Servers: []*huma.Server{{URL: "/", Description: "The daemon that serves this document."}},
		Tags: []*huma.Tag{
			{Name: tagControl, Description: "What operators see and do."},
			{Name: tagEvents, Description: "What happens, as it happens."},
			{Name: tagWHEP, Description: "Sessions of viewers, by draft-ietf-wish-whep and RFC 9725."},
			{Name: tagHealth, Description: "For what watches over the daemon."},
			{Name: tagPage, Description: "The viewer page."},
		},
		Components: &huma.Components{
			Schemas: sp.registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{"token": {
				Type: "http", Scheme: "bearer", Description: "A token of the daemon, or a grant. A daemon on loopback may be configured to let viewers in without (anonymous_role).",
			}},
		},
	}
	for _, rt := range routes {
		op, err := sp.operation(rt)
		if err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", rt.method, rt.path, err)
		}
		doc.AddOperation(op)
	}
	compact, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	b.WriteByte('\n')
	sp.document = b.Bytes()
	return sp, nil
}

// schemaName names a type's schema: what it shows, without how the code calls it.
func schemaName(t reflect.Type, hint string) string {
	switch name := huma.DefaultSchemaNamer(t, hint); name {
	case "Snapshot":
		return "Session"
	case "Body":
		return "Error"
	default:
		for _, suffix := range []string{"Record", "Info", "View"} {
			name = strings.TrimSuffix(name, suffix)
		}
		return name
	}
}

// wildcards returns the names in braces of a path.
func wildcards(path string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
		names = append(names, m[1])
	}
	return names
}

// operation describes one route.
func (sp *spec) operation(rt route) (*huma.Operation, error) {
	o := rt.about
	if o.id == "" || o.summary == "" || len(o.answers) == 0 {
		return nil, fmt.Errorf("the route lacks an id, a summary or an answer")
	}
	op := &huma.Operation{
		Method: rt.method, Path: strings.TrimSuffix(rt.path, "{$}"), OperationID: o.id, Tags: []string{o.tag}, Summary: o.summary,
		Description: o.detail, Responses: map[string]*huma.Response{},
	}
	op.Security = []map[string][]string{} // in the document an empty list says that nothing is required
	if !rt.open {
		op.Security = append(op.Security, map[string][]string{"token": {}})
	}
	for _, name := range wildcards(rt.path) {
		text, ok := pathParams()[name]
		if !ok {
			return nil, fmt.Errorf("nothing is said of {%s}: see pathParams", name)
		}
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: name, In: "path", Required: true, Description: text, Schema: &huma.Schema{Type: huma.TypeString},
		})
	}
	for _, p := range o.params {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: p.name, In: p.in, Required: p.required, Description: p.text, Schema: sp.registry.Schema(reflect.TypeOf(p.value), true, ""),
		})
	}
	if b := o.body; b != nil {
		s, err := sp.schema(b.value)
		if err != nil {
			return nil, err
		}
		op.RequestBody = &huma.RequestBody{
			Description: b.text, Required: !b.optional, Content: map[string]*huma.MediaType{b.media: {Schema: s}},
		}
	}
	for _, a := range o.answers {
		if err := sp.answer(op, a); err != nil {
			return nil, err
		}
	}
	sp.errors(op, rt.codes())
	return op, nil
}

// answer adds a success.
func (sp *spec) answer(op *huma.Operation, a answer) error {
	status := strconv.Itoa(a.status)
	r := op.Responses[status]
	if r == nil {
		r = &huma.Response{Description: a.text, Headers: headers(a.header)}
		op.Responses[status] = r
	}
	if a.media == "" {
		return nil
	}
	var s *huma.Schema
	if len(a.oneOf) > 0 {
		s = &huma.Schema{Description: a.text}
		for _, v := range a.oneOf {
			one, err := sp.schema(v)
			if err != nil {
				return err
			}
			s.OneOf = append(s.OneOf, one)
		}
	} else {
		var err error
		if s, err = sp.schema(a.value); err != nil {
			return err
		}
	}
	if r.Content == nil {
		r.Content = map[string]*huma.MediaType{}
	}
	r.Content[a.media] = &huma.MediaType{Schema: s}
	return nil
}

// errors adds what goes wrong, by status.
func (sp *spec) errors(op *huma.Operation, codes []problem.Code) {
	for _, c := range codes {
		if c == problem.ClientGone {
			continue // nobody reads it
		}
		status := strconv.Itoa(c.Status())
		r, always := op.Responses[status], headersOf(c)
		if r == nil {
			r = &huma.Response{
				Headers:    headers(always),
				Content:    map[string]*huma.MediaType{content.JSON: {Schema: &huma.Schema{Ref: schemaPrefix + "Error"}}},
				Extensions: map[string]any{extCodes: []problem.Code(nil)},
			}
			op.Responses[status] = r
		}
		// A header is required where it comes with all codes of the status.
		for name, text := range headers(always) {
			if r.Headers[name] == nil {
				text.Required = false
				r.Headers[name] = text
			}
		}
		for name, h := range r.Headers {
			h.Required = h.Required && slices.Contains(always, name)
		}
		if r.Description != "" {
			r.Description += "\n"
		}
		r.Description += fmt.Sprintf("- `%s`: %s", c, c.Meaning())
		r.Extensions[extCodes] = append(r.Extensions[extCodes].([]problem.Code), c)
	}
}

// headersOf names the headers that always come with an error.
func headersOf(c problem.Code) []string {
	switch c {
	case problem.Unauthorized:
		return []string{"WWW-Authenticate"}
	case problem.NoPicture, problem.Full, problem.Draining, problem.NotReady, problem.TooManyStreams, problem.TooManyAttempts, problem.TooManyRequests,
		problem.TooManyGrants, problem.NoNetwork:
		return []string{"Retry-After"}
	default:
		return nil
	}
}

func headers(names []string) map[string]*huma.Param {
	list := map[string]*huma.Param{}
	for _, name := range names {
		list[name] = &huma.Param{Description: headerTexts()[name], Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return list
}

// schema returns the schema of a body.
func (sp *spec) schema(v any) (*huma.Schema, error) {
	switch v.(type) {
	case nil:
		return &huma.Schema{Type: huma.TypeString}, nil
	case binary:
		return &huma.Schema{Type: huma.TypeString, Format: "binary"}, nil
	}
	t := reflect.TypeOf(v)
	if err := sp.define(t); err != nil {
		return nil, err
	}
	return sp.registry.Schema(t, true, ""), nil
}

// define makes the schemas of a type and of all that it holds. Beside what huma reads from the types, lists are never null, and words
// of closed sets refer to a schema that lists them.
func (sp *spec) define(t reflect.Type) error {
	sp.registry.Schema(t, true, "")
	for name, s := range sp.registry.Map() {
		owner := sp.registry.TypeFromRef(schemaPrefix + name)
		if owner == nil {
			continue // a closed set
		}
		for _, f := range reflect.VisibleFields(owner) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := s.Properties[name]
			if p == nil {
				continue
			}
			if p.Type == huma.TypeArray {
				p.Nullable = false
			}
			if err := sp.close(p, f.Tag.Get("set")); err != nil {
				return fmt.Errorf("field %s of %s: %w", f.Name, owner, err)
			}
		}
		s.PrecomputeMessages()
	}
	return nil
}

// close makes p, or what p is a list of, one of the words of a set. An empty set leaves it as it is.
func (sp *spec) close(p *huma.Schema, set string) error {
	if set == "" {
		return nil
	}
	words, ok := sets()[set]
	if !ok {
		return fmt.Errorf("there is no set %q: see session.Sets", set)
	}
	if sp.registry.Map()[set] == nil {
		list := &huma.Schema{Type: huma.TypeString}
		for _, w := range words {
			list.Enum = append(list.Enum, w)
		}
		list.PrecomputeMessages()
		sp.registry.Map()[set] = list
	}
	if p.Type == huma.TypeArray {
		p = p.Items
	}
	p.Type, p.Ref = "", schemaPrefix+set
	return nil
}

// sets are the closed sets of words, by the names that the fields' `set` tags have.
func sets() map[string][]string {
	all := session.Sets()
	all["UnreadyReason"] = []string{unreadyDraining, unreadyNoDisplay, unreadyDisplayLost, unreadyUnusable, unreadyNoEncoder}
	for _, c := range problem.Codes() {
		if c != problem.ClientGone {
			all["ErrorCode"] = append(all["ErrorCode"], string(c))
		}
	}
	return all
}

// openapi serves the document.
func (s *Server) openapi(w http.ResponseWriter, r *http.Request) error {
	return s.document.Serve(w, r)
}
