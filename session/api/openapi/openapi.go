// Package openapi describes the HTTP API: it makes the OpenAPI document of the routes, and reads request bodies by the
// document's schemas.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// Version is the version of the API, which is independent of the daemon's. The second number grows with additions, the
// first with the removal of anything that clients may rely on. TestDocumentIsCompatible checks this.
const Version = "1.1.0"

// extCodes lists, at an answer in the document, the error codes that come with its status.
const extCodes = "x-error-codes"

// extRoles lists, at an operation in the document, the roles that may use it.
const extRoles = "x-roles"

// The security schemes.
const schemeToken, schemeCertificate = "token", "certificate"

const about = "The HTTP API of a wavry-host daemon: WHEP (draft-ietf-wish-whep) for viewers, a control API in JSON " +
	"for operators, health and metrics for monitoring. docs/integrate/api.md of the project explains it.\n\n" +
	"Every GET answers HEAD too, and every path OPTIONS; any other method gets 405 with `Allow`. Every answer " +
	"that is not a success is a problem document (RFC 9457), whose `code` is for programs; `x-error-codes` " +
	"lists the codes of each operation and status. Request bodies are read strictly: an unknown field is " +
	"refused. Later versions add paths, fields, values and codes. Clients must ignore those that they do not " +
	"know."

// Describe makes the document of routes. sets are the closed sets of words, by the names that the `set` tags of fields
// contain. Describe fails only if the table of routes is wrong.
func Describe(routes []Route, sets map[string][]string, unions ...Union) (*Spec, error) {
	sp := &Spec{registry: huma.NewMapRegistry(schemaPrefix, SchemaName), sets: sets}
	if err := sp.define(reflect.TypeFor[problem.Document]()); err != nil {
		return nil, err
	}
	doc := sp.outline()
	for _, rt := range routes {
		op, err := sp.operation(rt)
		if err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", rt.Method, rt.Path, err)
		}
		doc.AddOperation(op)
	}
	for _, u := range unions {
		if err := sp.split(u); err != nil {
			return nil, err
		}
	}
	sp.open(doc)
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

// outline returns the document without operations.
func (sp *Spec) outline() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "wavry-host", Version: Version, Description: about,
			License: &huma.License{Name: "GNU Affero General Public License, version 3", Identifier: "AGPL-3.0-only"},
		},
		Servers: []*huma.Server{{URL: "/", Description: "The daemon that serves this document."}},
		Tags: []*huma.Tag{
			{Name: TagControl, Description: "For operators: the host, its sessions and reservations."},
			{Name: TagEvents, Description: "What happens on the host, as it happens."},
			{Name: TagWHEP, Description: "Sessions of viewers, by draft-ietf-wish-whep and RFC 9725."},
			{Name: TagHealth, Description: "For monitoring."},
			{Name: TagPage, Description: "The viewer page."},
		},
		Components: &huma.Components{
			Schemas: sp.registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				schemeToken: {
					Type: "http", Scheme: "bearer", Description: "A token of the daemon, a grant, or a viewer token. " +
						"A daemon on loopback may be configured to admit viewers without a credential (auth.anonymous).",
				},
				schemeCertificate: {
					Type:        "mutualTLS",
					Description: "A client certificate, if the daemon is configured to accept them (auth.certificates).",
				},
			},
		},
	}
}

// SchemaName returns the name of a type's schema. It does not show how the code calls the type.
func SchemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[problem.Document]() {
		return "Problem"
	}
	name := huma.DefaultSchemaNamer(t, hint)
	if name == "Snapshot" {
		return "Session"
	}
	for _, suffix := range []string{"Record", "Info", "View"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// operation describes one route.
func (sp *Spec) operation(rt Route) (*huma.Operation, error) {
	if rt.ID == "" || rt.Summary == "" || len(rt.Answers) == 0 {
		return nil, fmt.Errorf("the route lacks an id, a summary or an answer")
	}
	op := &huma.Operation{
		Method: rt.Method, Path: strings.TrimSuffix(rt.Path, "{$}"), OperationID: rt.ID, Tags: []string{rt.Tag},
		Summary: rt.Summary, Description: rt.Detail, Responses: map[string]*huma.Response{},
	}
	op.Security = []map[string][]string{} // an empty list in the document says that nothing is required
	if rt.Credential {
		op.Security = append(op.Security, map[string][]string{}) // or none
	}
	if !rt.Open || rt.Credential {
		op.Security = append(op.Security, map[string][]string{schemeToken: {}}, map[string][]string{schemeCertificate: {}})
	}
	if !rt.Open {
		op.Extensions = map[string]any{extRoles: rt.Roles}
	}
	for _, name := range Wildcards(rt.Path) {
		p, ok := pathParams()[name]
		if !ok {
			return nil, fmt.Errorf("{%s} has no description: add it to pathParams", name)
		}
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: name, In: "path", Required: true, Description: p.text, Example: p.example,
			Schema: &huma.Schema{Type: huma.TypeString},
		})
	}
	for _, p := range rt.Params {
		s := sp.param(p)
		if p.Many {
			s = &huma.Schema{Type: huma.TypeArray, Items: s}
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.Name, In: p.In, Description: p.Text, Schema: s})
	}
	if b := rt.Body; b != nil {
		s, err := sp.schema(b.Value)
		if err != nil {
			return nil, err
		}
		op.RequestBody = &huma.RequestBody{
			Description: b.Text, Required: !b.Optional, Content: map[string]*huma.MediaType{b.Media: {
				Schema: s, Example: b.example(),
			}},
		}
	}
	for _, a := range rt.Answers {
		if err := sp.answer(op, a); err != nil {
			return nil, err
		}
	}
	sp.errors(op, rt.AllCodes())
	op.Responses["default"] = &huma.Response{
		Description: "Any other error, which later versions may add.",
		Content:     map[string]*huma.MediaType{problem.Media: {Schema: &huma.Schema{Ref: schemaPrefix + "Problem"}}},
	}
	return op, nil
}

// param returns the schema of a parameter in the query or the header.
func (sp *Spec) param(p Param) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	switch {
	case p.Set != "":
		for _, w := range sp.sets[p.Set] {
			s.Enum = append(s.Enum, w)
		}
	case p.FieldsOf != nil:
		names := sp.fields(p)
		one := "(" + strings.Join(names, "|") + ")"
		s.Pattern, s.Examples = "^"+one+"(,"+one+")*$", []any{strings.Join(names[:2], ",")}
	default:
		return sp.registry.Schema(reflect.TypeOf(p.Value), true, "")
	}
	return s
}

// fields returns the names of the fields that a parameter may name.
func (sp *Spec) fields(p Param) []string {
	s := sp.resolve(sp.registry.Schema(reflect.TypeOf(p.FieldsOf), true, ""))
	return slices.Sorted(maps.Keys(s.Properties))
}

// answer adds a success.
func (sp *Spec) answer(op *huma.Operation, a Answer) error {
	status := strconv.Itoa(a.Status)
	r := op.Responses[status]
	if r == nil {
		r = &huma.Response{Description: a.Text, Headers: headers(a.Header)}
		for name, h := range headers(a.May) {
			h.Required = false
			r.Headers[name] = h
		}
		op.Responses[status] = r
	}
	if a.Media == "" {
		return nil
	}
	var s *huma.Schema
	if len(a.OneOf) > 0 {
		s = &huma.Schema{Description: a.Text}
		for _, v := range a.OneOf {
			one, err := sp.schema(v)
			if err != nil {
				return err
			}
			s.OneOf = append(s.OneOf, one)
		}
	} else {
		var err error
		if s, err = sp.schema(a.Value); err != nil {
			return err
		}
	}
	if r.Content == nil {
		r.Content = map[string]*huma.MediaType{}
	}
	r.Content[a.Media] = &huma.MediaType{Schema: s}
	return nil
}

// errors adds the errors, by status.
func (sp *Spec) errors(op *huma.Operation, codes []problem.Code) {
	for _, c := range codes {
		if c == problem.ClientGone {
			continue // no client reads it
		}
		status := strconv.Itoa(c.Status())
		r, always := op.Responses[status], HeadersOf(c)
		if r == nil {
			r = &huma.Response{
				Headers:    headers(always),
				Content:    map[string]*huma.MediaType{problem.Media: {Schema: &huma.Schema{Ref: schemaPrefix + "Problem"}}},
				Extensions: map[string]any{extCodes: []problem.Code(nil)},
			}
			op.Responses[status] = r
		}
		// A header is required if all codes of the status have it.
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

// HeadersOf returns the names of the headers that every answer with that error has.
func HeadersOf(c problem.Code) []string {
	switch c {
	case problem.Unauthorized:
		return []string{"WWW-Authenticate"}
	case problem.NoPicture, problem.Full, problem.Draining, problem.NotReady, problem.TooManyStreams,
		problem.TooManyAttempts, problem.TooManyRequests, problem.TooManyGrants, problem.NoNetwork:
		return []string{"Retry-After"}
	default:
		return nil
	}
}

func headers(names []string) map[string]*huma.Param {
	list := map[string]*huma.Param{}
	for _, name := range names {
		list[name] = &huma.Param{
			Description: headerTexts()[name], Required: true, Schema: &huma.Schema{Type: huma.TypeString},
		}
	}
	return list
}
