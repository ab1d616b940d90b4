package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Server is a Prometheus server.
type Server struct {
	address *url.URL
	at      time.Time
}

// NewServer returns the server at an address, which may contain a user and a password. at is the end of the window.
func NewServer(address string, at time.Time) (*Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no address; want one such as http://prometheus:9090", address)
	}
	return &Server{u.JoinPath("api/v1/query"), at}, nil
}

// maxAnswer bounds an answer of the server: 10,000 hosts with 20 series each take about 50 MB.
const maxAnswer = 100 << 20

// query returns the answer to an instant query. The library for this API would add four modules for it.
func (s *Server) query(ctx context.Context, text string) (model.Vector, error) {
	where := *s.address
	where.RawQuery = url.Values{"query": {text}, "time": {s.at.Format(time.RFC3339)}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // the address may contain a password
	}
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus at %s: %w", s.address.Host, err)
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result model.Vector
		}
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&answer)
	switch {
	case err == nil && answer.Status == "success":
		return answer.Data.Result, nil
	case err == nil && answer.Error != "":
		return nil, fmt.Errorf("ask Prometheus at %s: %s", s.address.Host, answer.Error)
	default:
		return nil, fmt.Errorf("ask Prometheus at %s: %s, and the body is no answer of its API", s.address.Host,
			response.Status)
	}
}

// Selector has labels that a host must have. They are the labels of wavry_host_build_info, with version, and of the
// target.
type Selector map[string]string

// ParseSelector reads "version=1.2.0,pool=cad".
func ParseSelector(text string) (Selector, error) {
	s := make(Selector)
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || name == "" || value == "" || strings.ContainsAny(value, `"{}`) || strings.ContainsAny(name,
			`"{}!~ `) {
			return nil, fmt.Errorf("%q is no list of labels; want one such as version=1.2.0,pool=cad", text)
		}
		if _, ok := s[name]; ok {
			return nil, fmt.Errorf("%q has the label %s twice", text, name)
		}
		s[name] = value
	}
	return s, nil
}

func (s Selector) matches(m model.Metric) bool {
	for name, value := range s {
		if string(m[model.LabelName(name)]) != value {
			return false
		}
	}
	return true
}

// target identifies a host at Prometheus.
type target struct{ job, instance model.LabelValue }

func targetOf(m model.Metric) target { return target{m["job"], m["instance"]} }

// Groups returns what the hosts of two selectors counted within the last window. Hosts that changed their version in
// the window are left out, and named.
func (s *Server) Groups(ctx context.Context, baseline, canary Selector, window time.Duration) (
	baselineHosts, canaryHosts []Host, leftOut []string, err error,
) {
	length := model.Duration(window).String()
	builds, err := s.query(ctx, "count_over_time("+buildInfo+"["+length+"])")
	if err != nil {
		return nil, nil, nil, err
	}
	if len(builds) == 0 {
		return nil, nil, nil, fmt.Errorf("%w: Prometheus has no %s in the last %s", ErrSelection, buildInfo, length)
	}
	seen := make(map[target][]model.Metric)
	for _, b := range builds {
		seen[targetOf(b.Metric)] = append(seen[targetOf(b.Metric)], b.Metric)
	}
	hosts, err := s.hosts(ctx, length)
	if err != nil {
		return nil, nil, nil, err
	}
	for t, versions := range seen {
		of := func(sel Selector) bool { return slices.ContainsFunc(versions, sel.matches) }
		h := hosts(t)
		h.Version = string(versions[0]["version"])
		switch inBaseline, inCanary := of(baseline), of(canary); {
		case !inBaseline && !inCanary:
		case len(versions) > 1:
			leftOut = append(leftOut, h.Name)
		case inBaseline && inCanary:
			return nil, nil, nil, fmt.Errorf("%w: %s is in the baseline and in the canary", ErrSelection, h.Name)
		case inBaseline:
			baselineHosts = append(baselineHosts, h)
		default:
			canaryHosts = append(canaryHosts, h)
		}
	}
	slices.Sort(leftOut)
	return baselineHosts, canaryHosts, leftOut, nil
}

// hosts reads the counters of all hosts, and returns a function that returns one of them.
func (s *Server) hosts(ctx context.Context, length string) (func(target) Host, error) {
	found := make(map[target]*Host)
	host := func(t target) *Host {
		if found[t] == nil {
			found[t] = &Host{Name: string(t.instance), Probe: -1}
		}
		return found[t]
	}
	for _, metric := range metrics() {
		vector, err := s.query(ctx, "increase("+metric+"["+length+"])")
		if err != nil {
			return nil, err
		}
		for _, v := range vector {
			labels := make(map[string]string)
			for name, value := range v.Metric {
				labels[string(name)] = string(value)
			}
			h := host(targetOf(v.Metric))
			h.Increases = append(h.Increases, Sample{Metric: metric, Labels: labels, Value: float64(v.Value)})
		}
	}
	probes, errProbe := s.query(ctx, "last_over_time("+probe+"["+length+"])")
	for _, v := range probes {
		host(targetOf(v.Metric)).Probe = float64(v.Value)
	}
	crashes, errCrash := s.query(ctx, lastExit+`{reason=~"failed|killed"} == 1 and on (job, instance) changes(`+
		started+"["+length+"]) > 0")
	for _, v := range crashes {
		host(targetOf(v.Metric)).Crashed = true
	}
	return func(t target) Host { return *host(t) }, errors.Join(errProbe, errCrash)
}
