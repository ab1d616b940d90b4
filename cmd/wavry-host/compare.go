package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"wavryhost/cmd/wavry-host/canary"
)

// compareCmd is "wavry-host compare".
type compareCmd struct {
	Baseline   []string      `required:"" sep:"none" placeholder:"WHICH" help:"Hosts with the present version. With --prometheus, labels such as version=1.2.0,pool=cad. Otherwise a copy of GET /metrics, or two of the same host: FIRST,LAST. May be repeated for several hosts."` //nolint:lll // a struct tag is one line
	Canary     []string      `required:"" sep:"none" placeholder:"WHICH" help:"Hosts with the new version, in the same form."`                                                                                                                                                       //nolint:lll // a struct tag is one line
	Prometheus string        `placeholder:"URL" help:"Prometheus server that has the metrics, such as http://prometheus:9090."`                                                                                                                                                      //nolint:lll // a struct tag is one line
	Window     time.Duration `default:"24h" placeholder:"DURATION" help:"With --prometheus, the time to compare. Default: ${default}."`                                                                                                                                              //nolint:lll // a struct tag is one line
	Sessions   float64       `name:"min-sessions" default:"50" placeholder:"NUMBER" help:"Sessions that each side must have before the canary passes. Default: ${default}."`                                                                                                         //nolint:lll // a struct tag is one line
	Ratio      float64       `name:"max-ratio" default:"1.2" placeholder:"NUMBER" help:"How many times as often as at the baseline a fault may happen. Default: ${default}."`                                                                                                        //nolint:lll // a struct tag is one line
	Confidence float64       `default:"0.95" placeholder:"SHARE" help:"Probability that a canary that is as good as the baseline does not fail. Default: ${default}."`                                                                                                               //nolint:lll // a struct tag is one line
	JSON       bool          `name:"json" help:"Print JSON."`
}

// comparison is the machine-readable output.
type comparison struct {
	*canary.Report

	LeftOut []string `json:"left_out"`
}

// Run is called by kong. It passes, or ends with the exit code of a canary that fails or cannot be judged.
func (c *compareCmd) Run(ctx context.Context, a *app) error {
	limits := canary.Limits{Sessions: c.Sessions, Ratio: c.Ratio, Confidence: c.Confidence}
	if err := limits.Validate(); err != nil {
		return &coded{exitUsage, err}
	}
	baseline, other, leftOut, err := c.hosts(ctx)
	if err != nil {
		return err
	}
	report, err := canary.Compare(baseline, other, limits)
	if err != nil && len(leftOut) > 0 {
		err = fmt.Errorf("%w; left out, because their version changed within %s: %s", err, c.Window,
			strings.Join(leftOut, ", "))
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(a.stdout, comparison{report, append([]string{}, leftOut...)})
	} else {
		err = c.print(a, report, leftOut)
	}
	switch {
	case err != nil:
		return err
	case report.Verdict == canary.Fail:
		return &coded{exitWorse, nil}
	case report.Verdict == canary.Undecided:
		return &coded{exitUndecided, nil}
	}
	return nil
}

// hosts returns what the two groups counted.
func (c *compareCmd) hosts(ctx context.Context) (baseline, other []canary.Host, leftOut []string, err error) {
	if c.Prometheus == "" {
		baseline, err = snapshots("--baseline", c.Baseline)
		if err == nil {
			other, err = snapshots("--canary", c.Canary)
		}
		return baseline, other, nil, err
	}
	if c.Window < time.Minute {
		return nil, nil, nil, &coded{exitUsage, fmt.Errorf("--window is %s; want at least 1m", c.Window)}
	}
	first, errFirst := selector("--baseline", c.Baseline)
	second, errSecond := selector("--canary", c.Canary)
	if err := errors.Join(errFirst, errSecond); err != nil {
		return nil, nil, nil, &coded{exitUsage, err}
	}
	server, err := canary.NewServer(c.Prometheus, time.Now())
	if err != nil {
		return nil, nil, nil, &coded{exitUsage, fmt.Errorf("--prometheus: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return server.Groups(ctx, first, second, c.Window)
}

// selector reads the labels of a group.
func selector(flag string, values []string) (canary.Selector, error) {
	if len(values) != 1 {
		return nil, fmt.Errorf("%s was given %d times; want one list of labels", flag, len(values))
	}
	s, err := canary.ParseSelector(values[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return s, nil
}

// snapshots reads the files of a group.
func snapshots(flag string, values []string) ([]canary.Host, error) {
	var hosts []canary.Host
	for _, value := range values {
		files := strings.Split(value, ",")
		first, last := "", files[0]
		if len(files) == 2 {
			first, last = files[0], files[1]
		}
		if len(files) > 2 || last == "" || len(files) == 2 && first == "" {
			return nil, &coded{exitUsage, fmt.Errorf("%s is %q; want FILE, or FIRST,LAST of one host", flag, value)}
		}
		h, err := canary.ReadSnapshots(first, last)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// print writes the report for people.
func (c *compareCmd) print(a *app, r *canary.Report, leftOut []string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "GROUP\tVERSION\tHOSTS\tSESSIONS\n")
	say(w, "baseline\t%s\t%d\t%.0f\n", strings.Join(r.Baseline.Versions, ", "), len(r.Baseline.Hosts),
		r.Baseline.Sessions)
	say(w, "canary\t%s\t%d\t%.0f\n\n", strings.Join(r.Canary.Versions, ", "), len(r.Canary.Hosts), r.Canary.Sessions)
	say(w, "FAULT\tBASELINE\tCANARY\tRATIO\tVERDICT\n")
	for _, f := range r.Figures {
		say(w, "%s\t%s\t%s\t%s\t%s\n", f.Title, f.Baseline.Text(f.Unit), f.Canary.Text(f.Unit), ratio(f), f.Verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(leftOut) > 0 {
		say(a.stdout, "\nleft out, because their version changed within %s: %s\n", c.Window,
			strings.Join(leftOut, ", "))
	}
	say(a.stdout, "\n%s: %s\n", r.Verdict, strings.Join(r.Reasons, "; "))
	return nil
}

// ratio shows a ratio with its limits.
func ratio(f canary.Result) string {
	show := func(x *float64, missing string) string {
		if x == nil {
			return missing
		}
		return fmt.Sprintf("%.2g", *x)
	}
	if f.Low == nil && f.High == nil {
		return "-"
	}
	return fmt.Sprintf("%s (%s to %s)", show(f.Ratio, "-"), show(f.Low, "0"), show(f.High, "∞"))
}
