package canary

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// metricsText is a copy of GET /metrics.
func metricsText(version string, started, sessions int, exit string) string {
	return fmt.Sprintf(`wavry_host_build_info{version=%q,revision="x",goversion="go"} 1
process_start_time_seconds %d
wavry_host_last_exit_info{reason=%q} 1
wavry_host_probe_success 1
# TYPE wavry_host_handshakes_total counter
wavry_host_handshakes_total{result="success"} %d
# TYPE wavry_host_first_frame_seconds histogram
wavry_host_first_frame_seconds_bucket{to="acked",le="2.5"} %d
wavry_host_first_frame_seconds_bucket{to="acked",le="+Inf"} %d
wavry_host_first_frame_seconds_sum{to="acked"} 1
wavry_host_first_frame_seconds_count{to="acked"} %d
`, version, started, exit, sessions, sessions/2, sessions, sessions)
}

func TestReadSnapshots(t *testing.T) {
	gauges := strings.NewReplacer(
		"wavry_host_build_info", "# TYPE wavry_host_build_info gauge\nwavry_host_build_info",
		"process_start", "# TYPE process_start_time_seconds gauge\nprocess_start",
		"wavry_host_last", "# TYPE wavry_host_last_exit_info gauge\nwavry_host_last",
		"wavry_host_probe", "# TYPE wavry_host_probe_success gauge\nwavry_host_probe",
	)
	before := gauges.Replace(metricsText("1", 10, 100, "clean"))
	for name, c := range map[string]struct {
		first, last    string
		sessions, late float64
		crashed        bool
		fails          string
	}{
		"since the start": {"", before, 100, 50, false, ""},
		"between two":     {before, gauges.Replace(metricsText("1", 10, 160, "clean")), 60, 30, false, ""},
		"restarted":       {before, gauges.Replace(metricsText("1", 20, 130, "clean")), 130, 65, false, ""},
		"crashed":         {before, gauges.Replace(metricsText("1", 20, 10, "killed")), 10, 5, true, ""},
		"other version": {
			before, gauges.Replace(metricsText("2", 20, 10, "")), 0, 0, false,
			"is of version 1, and",
		},
		"the later one first": {
			gauges.Replace(metricsText("1", 20, 10, "")), before, 0, 0, false,
			"want the earlier snapshot first",
		},
		"no metrics":     {"", "<html>", 0, 0, false, "want a copy of GET /metrics"},
		"empty":          {"", "", 0, 0, false, "has no wavry_host_build_info"},
		"other exporter": {"", "up 1\n", 0, 0, false, "has no wavry_host_build_info"},
		"binary":         {"", "\x00\xff\x80\n", 0, 0, false, "want a copy of GET /metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first, last := filepath.Join(dir, "first"), filepath.Join(dir, "last")
			if c.first == "" {
				first = ""
			} else if err := os.WriteFile(first, []byte(c.first), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(last, []byte(c.last), 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := ReadSnapshots(first, last)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v; want %q in one line", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f := figures()[1].share([]Host{h})
			if got := sum([]Host{h}, sessions); got != c.sessions || f.Bad != c.late ||
				h.Crashed != c.crashed || h.Probe != 1 {
				t.Errorf("%g sessions, %+v, %+v", got, f, h)
			}
		})
	}
	if _, err := ReadSnapshots("", filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file was read")
	}
}

func TestParseSelector(t *testing.T) {
	s, err := ParseSelector("version=1.2.0, pool=cad")
	if err != nil || len(s) != 2 || s["version"] != "1.2.0" || s["pool"] != "cad" {
		t.Errorf("got %v, %v", s, err)
	}
	for _, text := range []string{
		"", "version", "version=", "=1", `version="1"`, "a=1,a=2", "version!=1",
		"version=~1,",
	} {
		if s, err := ParseSelector(text); err == nil {
			t.Errorf("%q was read as %v", text, s)
		}
	}
}

// The hosts of each group come from the labels of their build. Hosts that changed their version are left out.
func TestGroupsFromPrometheus(t *testing.T) {
	answer := map[string]string{
		"count_over_time(wavry_host_build_info[1d])": `{"metric":{"job":"w","instance":"a","version":"1"},"value":[1,"9"]},
			{"metric":{"job":"w","instance":"b","version":"2"},"value":[1,"9"]},
			{"metric":{"job":"w","instance":"c","version":"2"},"value":[1,"9"]},
			{"metric":{"job":"w","instance":"c","version":"1"},"value":[1,"9"]},
			{"metric":{"job":"w","instance":"d","version":"3"},"value":[1,"9"]}`,
		"increase(wavry_host_handshakes_total[1d])": `
			{"metric":{"job":"w","instance":"a","result":"success"},"value":[1,"7"]},
			{"metric":{"job":"w","instance":"b","result":"success"},"value":[1,"3.5"]}`,
		"last_over_time(wavry_host_probe_success[1d])": `{"metric":{"job":"w","instance":"b"},"value":[1,"0"]}`,
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`,
			answer[r.FormValue("query")])
	}))
	defer srv.Close()
	s, err := NewServer(srv.URL, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	base, other, leftOut, err := s.Groups(t.Context(), Selector{"version": "1"}, Selector{"version": "2"}, 24*time.Hour)
	if err != nil || len(base) != 1 || len(other) != 1 || len(leftOut) != 1 || leftOut[0] != "c" {
		t.Fatalf("%v, %v, %v, %v", base, other, leftOut, err)
	}
	if base[0].Name != "a" || base[0].Version != "1" || base[0].Probe != -1 || sum(base, sessions) != 7 ||
		other[0].Name != "b" || other[0].Probe != 0 || sum(other, sessions) != 3.5 {
		t.Errorf("%+v, %+v", base, other)
	}
	_, _, _, err = s.Groups(t.Context(), Selector{"version": "1"}, Selector{"job": "w"}, 24*time.Hour)
	if err == nil || !strings.Contains(err.Error(), "in the baseline and in the canary") {
		t.Errorf("a host in both groups: %v", err)
	}
}

func TestPrometheusFails(t *testing.T) {
	for want, handler := range map[string]http.HandlerFunc{
		"invalid parameter": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"invalid parameter"}`)
		},
		"401 Unauthorized": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no",
				http.StatusUnauthorized)
		},
		"no answer of its API": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<html>")
		},
		"has no wavry_host_build_info": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
		},
		"EOF": func(_ http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		srv := httptest.NewServer(handler)
		s, err := NewServer(strings.Replace(srv.URL, "//", "//user:secret@", 1), time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = s.Groups(t.Context(), Selector{"version": "1"}, Selector{"version": "2"}, time.Hour)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v; want %q", err, want)
		}
		srv.Close()
	}
	for _, address := range []string{"", "prometheus:9090", "ftp://a", "http://", "http://a\x00"} {
		if _, err := NewServer(address, time.Unix(1, 0)); err == nil {
			t.Errorf("%q is an address", address)
		}
	}
}
