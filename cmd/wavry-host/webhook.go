package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/webhook"
)

// outboxFile is the file, in the state folder, of events that wait for the webhook.
const outboxFile = "webhook.jsonl"

// newWebhook returns what delivers the manager's events, and the function that reconfigures it. The outbox is that of
// the first configuration.
func newWebhook(
	c *config.Config, env []string, host string, mgr *session.Manager, reg prometheus.Registerer, log *slog.Logger,
) (*webhook.Sender, func(*config.Config), error) {
	path := cmp.Or(c.Webhook.OutboxFile, inState(outboxFile, env))
	of := func(c *config.Config) webhook.Config {
		if c.Webhook.URL != "" && c.Webhook.OutboxFile == "" {
			_ = os.MkdirAll(filepath.Dir(path), 0o700) // without it the outbox reports the error
		}
		return webhook.Config{
			URL: c.Webhook.URL, Host: cmp.Or(host, "wavry-host"), SecretFile: c.Webhook.SecretFile, Outbox: path,
			Kinds: c.Webhook.Events, ReadFile: privateReader(log), Guard: mgr.Guard(),
		}
	}
	s, err := webhook.New(of(c), mgr.Journal(), webhook.NewMetrics(reg), log)
	return s, func(c *config.Config) { s.Reconfigure(of(c)) }, err
}

// flush delivers the last events and traces, or keeps the events for the next daemon. It is called when the other parts
// have ended.
func (h *host) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settling/2)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error { h.webhook.Flush(ctx); return nil })
	group.Go(func() error { h.fleet.flush(ctx); return nil })
	if h.tracer != nil {
		group.Go(func() error { h.tracer.Flush(ctx); return nil })
	}
	_ = group.Wait()
}

// webhook checks the secret, the kinds of events and the outbox.
func (in *inspection) webhook(env []string) {
	if in.Webhook.URL == "" {
		return
	}
	if in.Webhook.SecretFile != "" {
		if text, why := in.SecretIn(in.Webhook.SecretFile); why != "" {
			in.add("webhook.secret_file", errors.New(why))
		} else if _, err := webhook.ParseSecrets(text); err != nil {
			in.add("webhook.secret_file", fmt.Errorf("%s: %w", in.Webhook.SecretFile, err))
		}
	}
	for _, kind := range in.Webhook.Events {
		if !slices.Contains(webhook.Kinds(), kind) {
			in.add("webhook.events", fmt.Errorf("there is no kind of event %q; the kinds are %s", kind,
				strings.Join(webhook.Kinds(), ", ")))
		}
	}
	switch path := cmp.Or(in.Webhook.OutboxFile, inState(outboxFile, env)); {
	case path == "":
		in.add("webhook.outbox_file",
			errors.New("auto finds no state folder: set HOME or XDG_STATE_HOME, or name a file"))
	case in.Webhook.OutboxFile != "":
		in.writable("webhook.outbox_file", path)
	}
}
