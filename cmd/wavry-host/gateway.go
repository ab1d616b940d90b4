package main

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/api/custody"
	"wavryhost/session/gateway"
	"wavryhost/session/progress"
)

// gatewayCounters exports the activity of the link to the gateway. The values of each label are a closed set.
type gatewayCounters struct {
	state                               *prometheus.GaugeVec
	failures, messages, offers, dropped *prometheus.CounterVec
	bound                               prometheus.Gauge
	wasBound                            atomic.Bool
}

var _ gateway.Counters = (*gatewayCounters)(nil)

// newGatewayCounters registers the metrics of the link on reg.
func newGatewayCounters(reg prometheus.Registerer) *gatewayCounters {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	c := &gatewayCounters{
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wavry_host_gateway_state", Help: "1 for the current state of the link to the gateway, 0 for the others.",
		}, []string{"state"}),
		failures: counters("wavry_host_gateway_failures_total",
			"Attempts to reach the gateway that failed and connections that ended, by class of error.", "class"),
		messages: counters("wavry_host_gateway_messages_total", "Messages received from the gateway and sent to it, by kind.",
			"direction", "kind"),
		offers: counters(
			"wavry_host_gateway_offers_total", "Offers from the gateway, by result.", "result",
		),
		dropped: counters("wavry_host_gateway_messages_dropped_total",
			"Dropped messages from and to the gateway, by reason.", "reason"),
	}
	c.bound = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "wavry_host_gateway_last_bound_timestamp_seconds",
		Help: "When the link to the gateway was bound last, in seconds since 1970; 0 for never.",
	})
	reg.MustRegister(c.bound, c.state, c.failures, c.messages, c.offers, c.dropped)
	for _, s := range gateway.States() {
		c.state.WithLabelValues(s.String())
	}
	return c
}

// complete makes all series of closed sets exist, for the document of all metrics.
func (c *gatewayCounters) complete() {
	for _, class := range gateway.Classes() {
		c.failures.WithLabelValues(class.String())
	}
	for _, k := range gateway.Kinds() {
		c.messages.WithLabelValues("received", k.String())
		c.messages.WithLabelValues("sent", k.String())
	}
	for _, r := range gateway.Results() {
		c.offers.WithLabelValues(r.String())
	}
	for _, d := range gateway.Drops() {
		c.dropped.WithLabelValues(d.String())
	}
}

func (c *gatewayCounters) State(s gateway.State) {
	is := s == gateway.StateBound
	if was := c.wasBound.Swap(is); is || was {
		c.bound.SetToCurrentTime()
	}
	for _, other := range gateway.States() {
		if other != s {
			c.state.WithLabelValues(other.String()).Set(0)
		}
	}
	c.state.WithLabelValues(s.String()).Set(1)
}

func (c *gatewayCounters) Failure(class gateway.Class) {
	c.failures.WithLabelValues(class.String()).Inc()
}

func (c *gatewayCounters) Received(k gateway.Kind) {
	c.messages.WithLabelValues("received", k.String()).Inc()
}

func (c *gatewayCounters) Sent(k gateway.Kind) { c.messages.WithLabelValues("sent", k.String()).Inc() }

func (c *gatewayCounters) Offer(r gateway.Result) { c.offers.WithLabelValues(r.String()).Inc() }

func (c *gatewayCounters) Dropped(d gateway.Drop) { c.dropped.WithLabelValues(d.String()).Inc() }

// gatewayConfig passes the settings of the link on. It does not read the authorities of GatewayCA.
func gatewayConfig(c *config.Config) gateway.Config {
	return gateway.Config{
		URL: c.Gateway.URL, Insecure: c.Gateway.Insecure, Origin: c.Gateway.Origin,
		Dialect:   gateway.Dialects()[max(0, slices.Index(config.GatewayDialects(), c.Gateway.Dialect))],
		TokenFile: c.Gateway.TokenFile, AccountFile: c.Gateway.AccountFile, Username: c.Gateway.User,
		Allow: c.Gateway.Allow, Role: gatewayRole(c.Gateway.Role), Pins: c.Gateway.Pins,
	}
}

// gatewayRole returns the role of the gateway's users. The table of settings has checked it.
func gatewayRole(name string) session.Role {
	if name == session.RoleController.String() {
		return session.RoleController
	}
	return session.RoleViewer
}

// newLink returns the link to the gateway, or nil when none is configured.
func newLink(
	c *config.Config, mgr *session.Manager, board *progress.Board, note func(api.Note),
	reg prometheus.Registerer, log *slog.Logger,
) (*gateway.Link, error) {
	if c.Gateway.URL == "" {
		return nil, nil //nolint:nilnil // a configuration without a gateway is valid
	}
	cfg := gatewayConfig(c)
	cfg.ReadFile = privateReader(log)
	if c.Gateway.CAFile != "" {
		data, err := config.ReadFile(c.Gateway.CAFile)
		if err != nil {
			return nil, fmt.Errorf("gateway.ca_file: %s: %s", c.Gateway.CAFile, config.Reason(err))
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("gateway.ca_file: %s holds no certificate in PEM form", c.Gateway.CAFile)
		}
	}
	cfg.Counters, cfg.Guard, cfg.Progress = newGatewayCounters(reg), mgr.Guard(), board
	cfg.Opened = func(owner session.Owner, role session.Role, id string, err error) {
		n := api.Note{Event: "gateway_offer", Owner: owner, Role: role.String()}
		if err != nil {
			n.Reason = err.Error()
		} else {
			n.Made = "/whep/sessions/" + id
		}
		note(n)
	}
	if c.Gateway.Insecure {
		log.Warn("gateway.insecure is set: the token may go over the network in clear text")
	}
	return gateway.New(cfg, mgr, log)
}

// privateReader returns a function that reads a file of secrets. It refuses a file that others can access.
func privateReader(log *slog.Logger) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		data, warning, err := custody.Read(path, config.MaxSize, custody.Secret)
		if err == nil && warning != "" {
			log.Warn("file of credentials", "problem", warning)
		}
		return data, err
	}
}
