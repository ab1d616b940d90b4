package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"wavryhost/session"
)

// maxDrain is longer than anybody watches a desktop without a break, and keeps the time far from overflow.
const maxDrain = 24 * time.Hour

func (s *Server) host(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, s.describe())
}

// hostView is the host as clients see it.
type hostView struct {
	session.Host
	Version string `json:"version"`
	Gateway any    `json:"gateway,omitempty"`
}

func (s *Server) describe() hostView {
	h := s.mgr.Host()
	h.Displays = orEmpty(h.Displays)
	h.Encoders = orEmpty(h.Encoders)
	v := hostView{Host: h, Version: s.cfg.Version}
	if s.cfg.Gateway != nil {
		v.Gateway = s.cfg.Gateway()
	}
	return v
}

func (s *Server) displays(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, struct {
		Displays []session.DisplayInfo `json:"displays"`
	}{orEmpty(s.mgr.Host().Displays)})
}

func (s *Server) sessions(w http.ResponseWriter, _ *http.Request) error {
	all := orEmpty(s.mgr.Sessions())
	for i := range all {
		all[i].Transitions = orEmpty(all[i].Transitions)
	}
	return writeJSON(w, http.StatusOK, struct {
		Sessions []session.Snapshot `json:"sessions"`
	}{all})
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	one, err := s.mgr.Session(r.PathValue("id"))
	if err != nil {
		return err
	}
	one.Transitions = orEmpty(one.Transitions)
	return writeJSON(w, http.StatusOK, one)
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request) error {
	if err := s.mgr.End(r.Context(), r.PathValue("id"), session.EndOperator); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// recording hands out the flight recording. It is written whole before the answer begins, so that an error can be told.
func (s *Server) recording(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	var b bytes.Buffer
	if err := s.mgr.WriteRecording(id, &b); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": id + ".wavryrec"}))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b.Bytes()) // nobody is left to tell
	return nil
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) error {
	if err := contentType(r, "application/json"); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	deadline, err := decodeDrain(string(body))
	if err != nil {
		return err
	}
	s.mgr.Drain(session.DrainOrder{Deadline: deadline})
	return writeJSON(w, http.StatusAccepted, s.describe())
}

func (s *Server) resume(w http.ResponseWriter, _ *http.Request) error {
	s.mgr.Resume()
	return writeJSON(w, http.StatusOK, s.describe())
}

// decodeDrain reads the body of POST /v1/drain.
func decodeDrain(body string) (time.Duration, error) {
	var in struct {
		DeadlineSeconds *float64 `json:"deadline_seconds"`
	}
	if err := decodeStrict(body, &in); err != nil {
		return 0, err
	}
	if in.DeadlineSeconds == nil {
		return 0, refuse(CodeBadJSON, "deadline_seconds is missing: how long the sessions may go on")
	}
	n := *in.DeadlineSeconds
	if n < 0 || n > maxDrain.Seconds() {
		return 0, refuse(CodeBadJSON, "deadline_seconds is %v; it must be from 0 to %v", n, maxDrain.Seconds())
	}
	return time.Duration(n * float64(time.Second)), nil
}

// decodeStrict reads one JSON value into v and refuses fields that v does not have.
func decodeStrict(body string, v any) error {
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return refuse(CodeBadJSON, "the body goes on after its JSON value")
		}
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return refuse(CodeBadJSON, "the body is a JSON %s; it must be an object", wrong.Value)
		}
		return refuse(CodeBadJSON, "%s is a %s; it must be a %s", shorten(wrong.Field), wrong.Value, wrong.Type)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return refuse(CodeBadJSON, "there is no field %s", shorten(name))
	}
	if errors.Is(err, io.EOF) {
		return refuse(CodeBadJSON, "the body is empty; it must be a JSON object")
	}
	return refuse(CodeBadJSON, "the body is not JSON: %s", shorten(err.Error()))
}

// orEmpty makes a list that encodes as [] where there is none.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
