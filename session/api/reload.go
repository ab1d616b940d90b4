package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"
)

var (
	// ErrBadConfiguration means that the configuration cannot work; nothing of it was applied.
	ErrBadConfiguration = errors.New("configuration refused")
	// ErrNothingToConfirm means that no change waits to be confirmed.
	ErrNothingToConfirm = errors.New("no change of the configuration waits to be confirmed")
)

// Reloaded is what became of a change of the configuration.
type Reloaded struct {
	Applied      []string  `json:"applied" doc:"The settings that changed and are in force."`
	NeedsRestart []string  `json:"needs_restart" doc:"The settings that changed and take a restart of the daemon."`
	ConfirmBy    time.Time `json:"confirm_by,omitzero" doc:"When the change is taken back unless it is confirmed."`
}

// reloading is the body of POST /v1/reload.
type reloading struct {
	ConfirmSeconds float64 `json:"confirm_seconds,omitempty" minimum:"0" maximum:"3600" doc:"Take the change back after so long, in seconds, unless it is confirmed; 0 for never."`
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	var in reloading
	if err := s.readJSON(w, r, &in, true); err != nil {
		return err
	}
	done, err := s.cfg.Reload(time.Duration(in.ConfirmSeconds * float64(time.Second)))
	if errors.Is(err, ErrBadConfiguration) {
		// Of many lines the first says enough for a client; the host's log has them all.
		text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), ErrBadConfiguration.Error()+": "), "\n")
		return problem.New(problem.BadConfiguration, "%s", problem.Shorten(text))
	}
	if err != nil {
		return err
	}
	return content.WriteJSON(w, http.StatusOK, done)
}

func (s *Server) confirm(w http.ResponseWriter, _ *http.Request) error {
	if err := s.cfg.Confirm(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) probe(w http.ResponseWriter, _ *http.Request) error {
	s.cfg.Probe()
	w.WriteHeader(http.StatusAccepted)
	return nil
}
