package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"wavryhost/session/api/content"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
)

// reloading is the body of POST /v1/reload.
type reloading struct {
	ConfirmSeconds float64 `json:"confirm_seconds,omitempty" minimum:"0" maximum:"3600" doc:"Revert the change after this time, in seconds, unless it is confirmed; 0 means never."`
}

// configuration answers requests about the daemon's configuration, its encoders and its program.
type configuration struct {
	cfg  Config
	read reader
}

func (c configuration) reload(w http.ResponseWriter, r *http.Request) error {
	var in reloading
	if err := c.read(w, r, &in, true); err != nil {
		return err
	}
	done, err := c.cfg.Reload(time.Duration(in.ConfirmSeconds * float64(time.Second)))
	if errors.Is(err, ErrBadConfiguration) {
		var faults []problem.Fault
		for line := range strings.Lines(strings.TrimPrefix(err.Error(), ErrBadConfiguration.Error()+": ")) {
			if line = strings.TrimSpace(line); line != "" && len(faults) < openapi.MaxFaults {
				faults = append(faults, problem.Fault{Detail: problem.Shorten(line)})
			}
		}
		return problem.Faulty(problem.BadConfiguration, faults)
	}
	if err != nil {
		return err
	}
	return content.WriteJSON(w, http.StatusOK, done)
}

func (c configuration) confirm(w http.ResponseWriter, _ *http.Request) error {
	if err := c.cfg.Confirm(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c configuration) try(w http.ResponseWriter, _ *http.Request) error {
	c.cfg.Try()
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (c configuration) selfProbe(w http.ResponseWriter, _ *http.Request) error {
	c.cfg.SelfProbe()
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (c configuration) probe(w http.ResponseWriter, _ *http.Request) error {
	c.cfg.Probe()
	w.WriteHeader(http.StatusAccepted)
	return nil
}
