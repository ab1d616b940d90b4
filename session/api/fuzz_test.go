package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"

	"github.com/prometheus/client_golang/prometheus"
)

// dice draws choices from the fuzzer's bytes. Without bytes it draws 0, the choice that conforms to the document.
type dice struct{ rest []byte }

func (d *dice) draw(n int) int {
	if len(d.rest) == 0 || n <= 1 {
		return 0
	}
	v := int(d.rest[0])
	d.rest = d.rest[1:]
	return v % n
}

// of draws one of list.
func (d *dice) of(list ...string) string { return list[d.draw(len(list))] }

// rare reports true for one byte in four, and false without bytes.
func (d *dice) rare() bool { return d.draw(4) == 3 }

// question is a request made by the document.
type question struct {
	text  string // as it goes over the wire
	valid bool   // all is as the document has it
	// judged is the schema of the body, if only the body may differ from the document. value is the body.
	judged string
	value  any
}

// asker makes requests for every operation of a document.
type asker struct {
	c   *contract
	ops [][2]string // path, method
}

func newAsker(c *contract) *asker {
	a := &asker{c: c}
	for path, v := range each(part(c.doc, "paths")) {
		for method := range each(v.(object)) {
			a.ops = append(a.ops, [2]string{path, method})
		}
	}
	return a
}

// wrongIDs are IDs that no session or display has, and that may confuse path handling.
func wrongIDs() []string {
	return []string{
		"s2", "..", ".", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", "%00", "s1%00", "%ff%fe",
		"a%2Fb", "%25", "%252e", "s1;x=1", "~root",
		"%0d%0aX-Bad:%20y", "%F0%9F%92%A9", "{id}", "*", "s1%20", "'%22--", strings.Repeat("a", 3000),
		strings.Repeat("%2e%2e%2f", 300), "", "s1/", "/s1", "s1/../s1",
	}
}

func (a *asker) ask(d *dice) question {
	op := a.ops[d.draw(len(a.ops))]
	path, method := op[0], op[1]
	o := a.c.at("paths", path, method).(object)
	q := question{valid: true}
	spoil := func() { q.valid = false }

	// IDs that the fake manager has. A new wildcard needs an entry here.
	right := map[string]string{"id": "s1", "display": "default", "file": "app.js"}
	for _, name := range openapi.Wildcards(path) {
		value := right[name]
		if d.rare() {
			spoil()
			value = d.of(wrongIDs()...)
		}
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	verb := strings.ToUpper(method)
	if d.rare() {
		spoil()
		verb = d.of("HEAD", "OPTIONS", "PUT", "POST", "GET", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW",
			"get", strings.Repeat("M", 400))
	}
	path += a.query(d, o, spoil)
	if d.rare() {
		spoil()
		path += d.of("?", "?after=0", "?after=-1", "?after=x&after=1", "?"+strings.Repeat("a=b&", 1000), "?%",
			"?a;b", "/", "//", "/..", "%2f", "#x", "?after=%00")
	}
	header := a.header(d, o, spoil)
	otherwise := q.valid
	media, body := a.body(d, o, &q)
	if media != "" {
		if d.rare() {
			spoil()
			otherwise = false
			media = d.of("text/plain", "application/json; charset=utf-8", "APPLICATION/JSON",
				"application/jso", "", ";;;", "application/sdp\r\nContent-Type: application/json",
				"multipart/form-data; boundary=x", strings.Repeat("a", 9000)+"/b")
		}
		header = append(header, "Content-Type: "+media)
	}
	if !otherwise {
		q.judged = ""
	}
	length := fmt.Sprintf("Content-Length: %d", len(body))
	if d.rare() {
		spoil()
		q.judged = ""
		length = d.of("Content-Length: 99999", "Transfer-Encoding: chunked",
			"Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: 1", "Content-Length: -1", "X: y")
	}
	q.text = verb + " " + path + " HTTP/1.1\r\n" + strings.Join(append(header, length), "\r\n") + "\r\n\r\n" + body
	return q
}

// query makes the query.
func (a *asker) query(d *dice, o object, spoil func()) string {
	values := url.Values{}
	parameters, _ := o["parameters"].([]any)
	for _, p := range parameters {
		if p := p.(object); p["in"] == "query" && (p["required"] == true || d.draw(2) == 1) {
			v := a.value(d, part(p, "schema"))
			list, ok := v.([]any) // each of its values is a parameter
			if !ok {
				list = []any{v}
			}
			for _, one := range list {
				if p["name"] == "replaces" && one != "" {
					spoil() // only a daemon that has taken over knows such a session
				}
				values.Add(fmt.Sprint(p["name"]), fmt.Sprint(one))
			}
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// header makes the header, except the part that depends on the body.
func (a *asker) header(d *dice, o object, spoil func()) []string {
	list := []string{"Host: localhost", "Authorization: Bearer " + token}
	if d.rare() {
		spoil()
		list[0] = d.of("Host: evil.example", "Host: localhost:99999", "Host:", "Host: [::1",
			"Host: 127.0.0.1@evil.example", "Host: localhost\r\nHost: evil.example")
	}
	if d.rare() {
		spoil()
		list[1] = d.of("X: y", "Authorization: Bearer wrong", "Authorization: Basic eDp5",
			"Authorization: Bearer", "Authorization: "+strings.Repeat("Bearer ", 500),
			"Authorization: Bearer "+token+"\r\nAuthorization: Bearer wrong", "Authorization: Bearer \xff\xfe")
	}
	parameters, _ := o["parameters"].([]any)
	for _, p := range parameters {
		p := p.(object)
		if p["in"] != "header" {
			continue
		}
		value, special := map[any]string{"If-Match": `"e1"`, "Last-Event-ID": "0"}[p["name"]]
		if !special {
			value = fmt.Sprint(a.value(d, part(p, "schema")))
		}
		// Only a fragment with the right ice-ufrag may omit If-Match, which no schema can express.
		switch required := p["required"] == true || p["name"] == "If-Match"; {
		case d.rare():
			spoil()
			list = append(list, fmt.Sprintf("%s: %s", p["name"], d.of(`"e0"`, "", "-1", "1e3",
				"99999999999999999999", `*, *`, `W/"e1"`, "\x01", strings.Repeat("9", 2000))))
		case required || d.draw(2) == 1:
			list = append(list, fmt.Sprintf("%s: %s", p["name"], value))
		}
	}
	if d.rare() {
		spoil()
		list = append(list, d.of("Origin: https://evil.example", "Origin: null", "Origin: http://localhost",
			"X-Long: "+strings.Repeat("x", 17<<10), "Accept: text/html",
			"Accept: application/sdp;q=0", "Accept: */*;q=x", "Expect: 100-continue",
			"Connection: upgrade\r\nUpgrade: websocket", "Cookie: "+strings.Repeat("a=b; ", 900),
			"Range: bytes=0-0", "X-HTTP-Method-Override: DELETE", "X-Forwarded-For: 127.0.0.1",
			strings.TrimSuffix(strings.Repeat("A: b\r\n", 1500), "\r\n")))
	}
	return list
}

// body makes a body and its media type. Both are empty for none.
func (a *asker) body(d *dice, o object, q *question) (media, body string) {
	described := part(o, "requestBody")
	if described == nil {
		if d.rare() {
			q.valid = false // nothing is said of it
			return "text/plain", d.of("x", "{}", strings.Repeat("x", 70000))
		}
		return "", ""
	}
	bodies := part(described, "content")
	media = slices.Sorted(maps.Keys(bodies))[0]
	if described["required"] != true && d.draw(2) == 0 {
		return "", ""
	}
	schema := part(part(bodies, media), "schema")
	if media != content.JSON {
		if d.rare() {
			q.valid = false
			return media, d.of("", "\xff\xfe", "v=", strings.Repeat("a=x\r\n", 20000), "\x00", string(d.rest))
		}
		return media, map[string]string{whep.TypeSDP: offer, whep.TypeFragment: "a=candidate:1\r\n"}[media]
	}
	text, err := json.Marshal(a.value(d, schema))
	if err != nil {
		panic(err) // it is made of what JSON has
	}
	body = string(text)
	if d.rare() {
		q.valid = false
		body = a.spoiled(d, body)
	}
	if json.Unmarshal([]byte(body), &q.value) == nil && len(body) <= defaultMaxBody && !repeats(body) {
		ref, _ := schema["$ref"].(string)
		q.judged = ref
	}
	return media, body
}

// repeats reports whether a JSON object has a field twice. A schema cannot say that, and the host refuses it.
func repeats(body string) bool {
	in, seen := json.NewDecoder(strings.NewReader(body)), make(map[any]bool)
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	for in.More() {
		name, err := in.Token()
		if err != nil || seen[name] {
			return err == nil
		}
		seen[name] = true
		var value json.RawMessage
		if in.Decode(&value) != nil {
			return false
		}
	}
	return false
}

// spoiled changes a JSON text, which may become invalid.
func (a *asker) spoiled(d *dice, body string) string {
	var o object
	_ = json.Unmarshal([]byte(body), &o) // it is an object
	names := slices.Sorted(maps.Keys(o))
	name := "deadline_seconds"
	if len(names) > 0 {
		name = d.of(names...)
	}
	quoted := `{"` + name + `": `
	return d.of(
		quoted+"null}", quoted+`"1"}`, quoted+"1}", quoted+"-1}", quoted+"[]}", quoted+"{}}", quoted+"true}",
		quoted+"1e999}", quoted+"1e308}", quoted+"-0}", quoted+"1e-999}",
		strings.ToUpper(body), strings.TrimSuffix(body, "}"), body+body, body+"x", "[]", "null", "1", `"x"`,
		"", " ", "{}", "\ufeff"+body,
		strings.TrimSuffix(body, "}")+`, "force": true}`, strings.TrimSuffix(body, "}")+`, "`+name+`": 2}`,
		strings.TrimSuffix(body, "}")+`, "__proto__": {}}`,
		strings.Repeat("[", 60000), strings.Repeat(`{"`+name+`":`, 3000), quoted+strings.Repeat("[",
			9999)+strings.Repeat("]", 9999)+"}",
		quoted+`"`+strings.Repeat("x", 60000)+`"}`, quoted+`"`+strings.Repeat("x", 70000)+`"}`,
		quoted+`"\ud800"}`, quoted+"\"\xff\"}", quoted+strings.Repeat("9", 5000)+"}",
		string(d.rest), quoted+string(d.rest)+"}",
	)
}

// value makes a value that conforms to a schema.
func (a *asker) value(d *dice, schema object) any {
	schema, _ = resolve(a.c.doc, schema)
	if list, ok := schema["enum"].([]any); ok {
		return list[d.draw(len(list))]
	}
	if list, ok := schema["examples"].([]any); ok && schema["pattern"] != nil {
		return list[d.draw(len(list))] // what else a pattern allows is not made up here
	}
	kind := schema["type"]
	if list, ok := kind.([]any); ok {
		kind = list[0] // null is the other
	}
	switch kind {
	case "object":
		o := object{}
		required, _ := schema["required"].([]any)
		for name, p := range each(part(schema, "properties")) {
			if slices.Contains(required, any(name)) || d.draw(2) == 1 {
				o[name] = a.value(d, p.(object))
			}
			if schema["not"] != nil { // to be empty
				o[name] = "x"
			}
		}
		for name, others := range part(schema, "dependentRequired") {
			for _, other := range others.([]any) {
				if other := other.(string); o[name] != nil && o[other] == nil {
					o[other] = a.value(d, part(part(schema, "properties"), other))
				}
			}
		}
		return o
	case "array":
		list := make([]any, d.draw(3))
		for i := range list {
			list[i] = a.value(d, part(schema, "items"))
		}
		return list
	case "number", "integer":
		least, most := 0.0, math.MaxInt32*1.0
		if v, ok := number(schema["minimum"]); ok {
			least = v
		}
		if v, ok := number(schema["exclusiveMinimum"]); ok {
			least = v + 1
		}
		if v, ok := number(schema["maximum"]); ok {
			most = v
		}
		return json.Number(strconv.FormatFloat([]float64{
			least, most,
			math.Trunc((least + most) / 2),
		}[d.draw(3)], 'f', -1, 64))
	case "boolean":
		return d.draw(2) == 1
	default:
		most := 100.0
		if v, ok := number(schema["maxLength"]); ok {
			most = v
		}
		text := strings.Repeat(d.of("x", "ü", "\u2028", "\"", "\\"), []int{1, 0, int(most)}[d.draw(3)])
		if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(text) {
			return "x"
		}
		return text
	}
}

func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// replaceable is a manager that a test can replace by a fresh one.
type replaceable struct{ *fakeManager }

// FuzzAPI sends requests to every operation of the document. A conforming request succeeds. Any other gets an answer
// that the document lists, without an internal error or a panic.
//
//fuzz:5000x
func FuzzAPI(f *testing.F) {
	reg := prometheus.NewRegistry()
	m := &replaceable{obliging()}
	cfg := reloadable(Config{Token: token, Limits: edge.Limits{
		PerAddress: 1_000_000, InAll: 1_000_000,
		Attempts: 1_000_000,
	}})
	s, err := New(cfg, m, reg, NewMetrics(reg), slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	c := newContract(f, s.spec.Document())
	a := newAsker(c)
	for i := range a.ops {
		f.Add([]byte{byte(i)})
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for range 600 {
		seed := make([]byte, 40)
		for i := range seed {
			seed[i] = byte(random.IntN(256))
		}
		f.Add(seed)
	}
	keys := 0
	f.Fuzz(func(t *testing.T, data []byte) {
		m.fakeManager = obliging()
		q := a.ask(&dice{data})
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(q.text)))
		if err != nil {
			if q.valid {
				t.Fatalf("%v: %q", err, q.text)
			}
			return // net/http itself refuses such a one
		}
		r.RemoteAddr = "192.0.2.1:1234"
		if q.valid && r.Header.Get("Idempotency-Key") != "" { // the server remembers earlier ones
			keys++
			r.Header.Set("Idempotency-Key", strconv.Itoa(keys))
		}
		streams := r.URL.Path == "/v1/events"
		if streams {
			// The client goes after it has read what is there.
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			r = r.WithContext(ctx)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		describe := func() string { return fmt.Sprintf("%.2000q got %d %v %.500q", q.text, w.Code, w.Header(), w.Body) }
		if w.Code >= http.StatusInternalServerError || w.Code == problem.ClientGone.Status() && !streams {
			t.Fatalf("the host is at fault: %s", describe())
		}
		if err := c.judge(r, w.Code, w.Header(), w.Body.Bytes()); err != nil {
			t.Fatalf("the answer is not what the document says: %v: %s", err, describe())
		}
		if q.valid && w.Code >= http.StatusBadRequest {
			t.Fatalf("the document describes it, but it is refused: %s", describe())
		}
		if q.judged != "" && (c.fits(q.judged, q.value) == nil) != (w.Code < http.StatusBadRequest) {
			t.Fatalf("the document's schema decides otherwise: %s", describe())
		}
		for _, secret := range []string{token, "goroutine ", "runtime error", ".go:", "/root/"} {
			if bytes.Contains(w.Body.Bytes(), []byte(secret)) && !strings.HasPrefix(r.URL.Path, "/page/") &&
				!strings.Contains(r.URL.Path+r.Header.Get("Content-Type"), secret) {
				t.Fatalf("it leaks %q: %s", secret, describe())
			}
		}
		for name, values := range w.Header() {
			if strings.ContainsAny(name+strings.Join(values, ""), "\r\n") {
				t.Fatalf("a header of the answer has a line break: %s", describe())
			}
		}
	})
}

// The asker makes, for each operation, a request that succeeds and many that do not.
func TestAskerCoversTheDocument(t *testing.T) {
	s, _ := newServer(t, reloadable(Config{Token: token}), obliging())
	a := newAsker(newContract(t, s.spec.Document()))
	if len(a.ops) != len(s.routes(nil)) {
		t.Errorf("%d operations; want one for each of %d routes", len(a.ops), len(s.routes(nil)))
	}
	for i, op := range a.ops {
		q := a.ask(&dice{[]byte{byte(i)}})
		if r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(q.text))); err != nil || !q.valid ||
			!strings.EqualFold(r.Method, op[1]) {
			t.Errorf("%v: %v, %+v", op, err, q)
		}
	}
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same each time
	readable, wrong, judged := 0, 0, 0
	for range 2000 {
		seed := make([]byte, 40)
		for i := range seed {
			seed[i] = byte(random.IntN(256))
		}
		q := a.ask(&dice{seed})
		if _, err := http.ReadRequest(bufio.NewReader(strings.NewReader(q.text))); err == nil {
			readable++
		}
		if !q.valid {
			wrong++
		}
		if q.judged != "" {
			judged++
		}
	}
	if readable < 1000 || wrong < 1000 || judged < 10 {
		t.Errorf("of 2000 questions net/http takes %d, %d are wrong, and %d have a body to judge",
			readable, wrong, judged)
	}
}
