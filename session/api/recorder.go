package api

import (
	"bytes"
	"net/http"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/problem"
)

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	id     string // ID of the request, for log and audit
	status int
	bytes  int
	who    auth.Principal // once it is known
	code   problem.Code   // code of the error, if the answer is one
	object string         // object of the request, if the path does not contain it
	copied *bytes.Buffer  // copy of the answer, for a repeated request; nil for none
}

// requestOf returns the ID of the request that w answers.
func requestOf(w http.ResponseWriter) string {
	if rec, ok := w.(*recorder); ok {
		return rec.id
	}
	return ""
}

// notePrincipal notes the principal of the request for the audit log.
func notePrincipal(w http.ResponseWriter, p auth.Principal) {
	if rec, ok := w.(*recorder); ok {
		rec.who = p
	}
}

// noteObject notes the object of the request for the audit log, if the path does not contain it.
func noteObject(w http.ResponseWriter, object string) {
	if rec, ok := w.(*recorder); ok {
		rec.object = object
	}
}

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	if rec.copied != nil {
		_, _ = rec.copied.Write(p)
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += n
	return n, err
}

// Unwrap serves http.ResponseController.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }
