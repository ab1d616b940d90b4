package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/session/tracing"
)

// newTracer returns what delivers traces, nil without an endpoint. id and name identify this host.
func newTracer(l *loaded, id, name string, reg prometheus.Registerer, log *slog.Logger) (*tracing.Tracer, error) {
	met := tracing.NewMetrics(reg)
	if l.Tracing.Endpoint == "" {
		return nil, nil
	}
	return tracing.New(tracing.Config{
		Endpoint: l.Tracing.Endpoint, HeadersFile: l.Tracing.HeadersFile, ReadFile: privateReader(log),
		Version: thisBuild().Version, ID: id, Name: name,
	}, met, log)
}

// tracing checks the headers for the collector.
func (in *inspection) tracing() {
	if in.Tracing.Endpoint == "" || in.Tracing.HeadersFile == "" {
		return
	}
	if text, why := in.SecretIn(in.Tracing.HeadersFile); why != "" {
		in.add("tracing.headers_file", errors.New(why))
	} else if _, err := tracing.ParseHeaders(text); err != nil {
		in.add("tracing.headers_file", fmt.Errorf("%s: %w", in.Tracing.HeadersFile, err))
	}
}
