package main

import (
	"context"
	"net/http"
	"text/tabwriter"
	"time"

	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats.go"
)

// fleetOrdersCmd is "wavry-host fleet orders".
type fleetOrdersCmd struct {
	Fleet  fleetFlags `embed:""`
	Cancel string     `placeholder:"ID" help:"Remove a standing order. Hosts that have carried it out keep its effect."`
	JSON   bool       `name:"json" help:"Print JSON, with the answer of each host."`
}

// Run is called by kong.
func (c *fleetOrdersCmd) Run(ctx context.Context, a *app) error {
	nc, err := c.Fleet.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if c.Cancel != "" {
		return pool.Cancel(ctx, nc, c.Cancel)
	}
	list, err := pool.Orders(ctx, nc)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.stdout, map[string]any{"orders": shownOrders(list)})
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "ID\tGIVEN\tUNTIL\tBY\tREQUEST\tHOSTS\tDONE\tREFUSED\n")
	for _, o := range shownOrders(list) {
		say(w, "%s\t%s\t%s\t%s\t%s %s\t%s\t%d\t%d\n", o.ID, o.Given.Local().Format(time.DateTime),
			o.Until.Local().Format(time.DateTime), o.By, o.Method, o.Path, o.Select, len(o.Results)-o.Refused, o.Refused)
	}
	return w.Flush()
}

// shownOrder is a standing order as it is printed.
type shownOrder struct {
	ID      string       `json:"id"`
	Given   time.Time    `json:"given"`
	Until   time.Time    `json:"until"`
	By      string       `json:"by"`
	Role    string       `json:"role"`
	Method  string       `json:"method"`
	Path    string       `json:"path"`
	Select  string       `json:"select,omitempty"`
	Refused int          `json:"refused"`
	Results []bus.Result `json:"results"`
}

// shownOrders returns the orders that are in force.
func shownOrders(list []pool.Order) []shownOrder {
	shown := []shownOrder{}
	for _, o := range list {
		if o.Until.Before(time.Now()) {
			continue
		}
		one := shownOrder{
			ID: o.ID, Given: o.Time, Until: o.Until, By: o.Caller.Name, Role: o.Caller.Role, Method: o.Method, Path: o.Path,
			Select: o.Selector.String(), Results: o.Results,
		}
		for _, r := range o.Results {
			if r.Status >= http.StatusBadRequest {
				one.Refused++
			}
		}
		shown = append(shown, one)
	}
	return shown
}

// give gives a standing order, and returns the answers of the hosts that are present.
func (t fleetTarget) give(
	ctx context.Context, c *pool.Client, nc *nats.Conn, r *http.Request, s bus.Selector, expected []string,
) ([]*bus.Answer, error) {
	results := make(chan bus.Result, len(expected)+1)
	sub, err := nc.Subscribe(bus.SubjectResults, func(m *nats.Msg) {
		if one, err := bus.ParseResult(m.Subject, m.Header, m.Data); err == nil {
			select {
			case results <- one:
			case <-ctx.Done():
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	id, err := c.Give(ctx, r, s, time.Now().Add(t.Absent))
	if err != nil {
		return nil, err
	}
	waiting := make(map[string]bool)
	for _, one := range expected {
		waiting[one] = true
	}
	var answers []*bus.Answer
	for len(waiting) > 0 {
		select {
		case one := <-results:
			if one.Order == id && waiting[one.Host] {
				delete(waiting, one.Host)
				answers = append(answers, &bus.Answer{
					Host: one.Host, Status: one.Status, Body: bus.Encode(map[string]string{"detail": one.Detail}),
				})
			}
		case <-ctx.Done():
			return answers, nil
		}
	}
	return answers, nil
}
