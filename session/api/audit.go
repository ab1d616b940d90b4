package api

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

// audit writes one line of JSON for each request that asks for a change, refused ones included.
type audit struct {
	mu sync.Mutex
	w  io.Writer // nil writes nothing
}

// auditLine is such a line. It has nothing of the request's body, and no token.
type auditLine struct {
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`            // name of the principal; empty where it is not known
	Role    string    `json:"role,omitempty"` // its role
	Grant   string    `json:"grant,omitempty"`
	Address string    `json:"address"`
	Method  string    `json:"method"`
	Route   string    `json:"route"` // the pattern, as /v1/sessions/{id}
	Object  string    `json:"object,omitempty"`
	Status  int       `json:"status"`
	Code    string    `json:"code,omitempty"` // the error code
}

// record writes a line, and tells whether that went well.
func (a *audit) record(l auditLine) bool {
	if a.w == nil {
		return true
	}
	line, err := json.Marshal(l)
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err = a.w.Write(append(line, '\n'))
	return err == nil
}

// changes tells whether a request by that method asks for a change.
func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
