package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"wavryhost/session/admission"
	"wavryhost/session/api/content"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// defaultPage and maxPage bound the items of a page.
	defaultPage, maxPage = 100, 1000
	// paramLabel and the others are parameters of lists.
	paramLabel, paramPage, paramToken, paramFields = "label", "page_size", "page_token", "fields"
)

// The parameters of lists that have limits.
type (
	labelText string
	pageSize  int
	pageToken string
)

// Schema describes it in the document.
func (labelText) Schema(huma.Registry) *huma.Schema {
	return prepared(&huma.Schema{Type: huma.TypeString, Pattern: `^[^=]*=[^=]*$`, Examples: []any{"team=cad"}})
}

// Schema describes it in the document.
func (pageSize) Schema(huma.Registry) *huma.Schema {
	least, most := 1.0, float64(maxPage)
	return prepared(&huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &most})
}

// Schema describes it in the document.
func (pageToken) Schema(huma.Registry) *huma.Schema {
	return prepared(&huma.Schema{Type: huma.TypeString, Pattern: `^([0-9a-f]{2}){1,100}$`, Examples: []any{"3030"}})
}

func prepared(s *huma.Schema) *huma.Schema {
	s.PrecomputeMessages()
	return s
}

// item is an element of a list, as filters and pages see it.
type item struct {
	// key orders the list and is unique.
	key string
	// words are the values of the filters, by parameter.
	words  map[string]string
	labels map[string]string
	value  any
}

// query says which items of a list an answer has.
type query struct {
	filters map[string]string
	labels  [][2]string
	after   string // key of the last item of the page before; empty for the first page
	size    int
	fields  []string
}

// labelParam describes the filter by labels.
func labelParam(text string) openapi.Param {
	return openapi.Param{In: "query", Name: paramLabel, Value: labelText(""), Many: true, Text: text}
}

// listParams describes the parameters of a list of items of that type, with its own filters.
func listParams(of any, filters ...openapi.Param) []openapi.Param {
	return append(filters,
		labelParam("A label as name=value. Of several, an item must have all."),
		openapi.Param{
			In: "query", Name: paramPage, Value: pageSize(0), Text: "Number of items of a page, up to 1000. Default: 100.",
		},
		openapi.Param{
			In: "query", Name: paramToken, Value: pageToken(""), Text: "The `next_page_token` of the page before.",
		},
		openapi.Param{
			In: "query", Name: paramFields, Value: "", FieldsOf: of,
			Text: "Names of fields, separated by commas, to which items are reduced; `id` is always there. Default: all.",
		})
}

// parseQuery reads the parameters of a list, which openapi.Spec.CheckQuery has checked. filters are the names of its
// own filters.
func parseQuery(r *http.Request, filters ...string) query {
	all := r.URL.Query()
	q := query{filters: map[string]string{}, size: defaultPage}
	for _, name := range filters {
		if all.Has(name) {
			q.filters[name] = all.Get(name)
		}
	}
	q.labels = labelsIn(all)
	if n, err := strconv.Atoi(all.Get(paramPage)); err == nil {
		q.size = n
	}
	if key, err := hex.DecodeString(all.Get(paramToken)); err == nil {
		q.after = string(key)
	}
	if all.Has(paramFields) {
		q.fields = strings.Split(all.Get(paramFields), ",")
	}
	return q
}

// labelsIn returns the labels that a query asks for.
func labelsIn(query url.Values) (list [][2]string) {
	for _, text := range query[paramLabel] {
		label, value, _ := strings.Cut(text, "=")
		list = append(list, [2]string{label, value})
	}
	return list
}

// carries reports whether labels have all that are wanted.
func carries(labels map[string]string, wanted [][2]string) bool {
	for _, l := range wanted {
		if value, ok := labels[l[0]]; !ok || value != l[1] {
			return false
		}
	}
	return true
}

// takes reports whether an item passes the filters.
func (q query) takes(i item) bool {
	for name, want := range q.filters {
		if i.words[name] != want {
			return false
		}
	}
	return carries(i.labels, q.labels) && i.key > q.after
}

// page returns the items of the page, and the token of the next one; empty after the last page.
func (q query) page(items []item) (list []json.RawMessage, next string, err error) {
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.key, b.key) })
	list = []json.RawMessage{}
	last := ""
	for _, i := range items {
		if !q.takes(i) {
			continue
		}
		if len(list) == q.size {
			return list, hex.EncodeToString([]byte(last)), nil
		}
		text, err := q.reduce(i.value)
		if err != nil {
			return nil, "", err
		}
		list, last = append(list, text), i.key
	}
	return list, "", nil
}

// reduce encodes an item with the requested fields.
func (q query) reduce(value any) (json.RawMessage, error) {
	text, err := json.Marshal(value)
	if err != nil || q.fields == nil {
		return text, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	some := map[string]json.RawMessage{"id": all["id"]}
	for _, name := range q.fields {
		if v, ok := all[name]; ok {
			some[name] = v
		}
	}
	return json.Marshal(some)
}

// pageOf is a page of a list, by the name of its field.
type pageOf map[string]any

// with adds the token of the next page, if there is one.
func (p pageOf) with(next string) pageOf {
	if next != "" {
		p["next_page_token"] = next
	}
	return p
}

// serveTagged answers with v and its entity tag, or with 304 if the client has this version.
func serveTagged(w http.ResponseWriter, r *http.Request, v any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if content.Matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", content.JSON)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b.Bytes())
	return nil
}

// labelsOf reads the labels of a body.
func labelsOf(all map[string]string) (admission.Labels, error) {
	l, err := admission.ParseLabels(all)
	if err != nil {
		return l, problem.Faulty(problem.BadJSON, []problem.Fault{{
			Pointer: "#/labels", Detail: withoutPackage(err.Error()),
		}})
	}
	return l, nil
}
