package overview

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/pool"
)

// hosts is a list of hosts.
type hosts []pool.Host

func (h hosts) Hosts() []pool.Host { return h }

// host returns a host of a pool and a region.
func host(name, poolName, region, state string, change func(*pool.Host)) pool.Host {
	h := pool.Host{Presence: pool.Present, Record: bus.Record{ID: "id-" + name, Description: bus.Description{
		Name: name, Labels: map[string]string{"pool": poolName, "region": region}, State: state, Version: "1.4.0",
		Sessions: 2, Limit: 8, Quality: map[string]int{"good": 1, "degraded": 1},
		Capacity: []bus.Capacity{{Profile: "1920x1080@60", More: 3}},
	}}}
	if change != nil {
		change(&h)
	}
	return h
}

func TestWhatThePageShows(t *testing.T) {
	list := []pool.Host{
		host("a", "cad", "eu", "active", nil),
		host("b", "cad", "us", "cordoned", nil),
		host("c", "web", "eu", "active", func(h *pool.Host) { h.Presence = pool.Gone }),
		host("d", "web", "eu", "active", func(h *pool.Host) { h.Duplicate = true }),
		host("e", "web", "eu", "stopping", func(h *pool.Host) { h.Presence = pool.Stopped }),
		host("f", "cad", "eu", "probation", func(h *pool.Host) { h.Version, h.Quality = "1.5.0", nil }),
	}
	all := look(list, "", "", "", "")
	want := figures{
		Present: 4, Accepting: 2, Withheld: 1, Gone: 1, Duplicates: 1, Sessions: 8, Limit: 32, Poor: 3,
		Quality: map[string]int{"good": 3, "degraded": 3},
	}
	if !reflect.DeepEqual(all.Figures, want) {
		t.Errorf("got %+v; want %+v", all.Figures, want)
	}
	if !reflect.DeepEqual(all.Pools, []string{"cad", "web"}) || len(all.Regions) != 2 || len(all.Versions) != 2 ||
		!reflect.DeepEqual(all.States, []string{"active", "cordoned", "duplicate", "gone", "probation", "stopped"}) {
		t.Errorf("the filters are %v, %v, %v", all.Pools, all.Regions, all.States)
	}
	if !reflect.DeepEqual(all.Profiles, []room{{"1920x1080@60", 6, 2}}) {
		t.Errorf("the room is %v", all.Profiles)
	}
	for _, c := range []struct{ pool, region, state, find, want string }{
		{"cad", "", "", "", "abf"},
		{"cad", "eu", "", "", "af"},
		{"", "", "gone", "", "c"},
		{"", "", "", "1.5", "f"},
		{"", "", "", "id-e", "e"},
		{"none", "", "", "", ""},
	} {
		got := ""
		v := look(list, c.pool, c.region, c.state, c.find)
		for _, h := range v.Hosts {
			got += h.Name
		}
		if got != c.want || v.Matching != len(c.want) {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestManyHostsAreBounded(t *testing.T) {
	var list []pool.Host
	for i := range maxHosts + 100 {
		list = append(list, host(fmt.Sprint(i), "cad", "eu", "active", nil))
	}
	v := look(list, "", "", "", "")
	if len(v.Hosts) != maxHosts || v.Matching != len(list) || v.Figures.Present != len(list) {
		t.Errorf("%d of %d hosts, %d present", len(v.Hosts), v.Matching, v.Figures.Present)
	}
}

func TestRequests(t *testing.T) {
	o, err := New(hosts{host("a", "cad", "eu", "active", nil)}, func() bool { return true }, []string{"fleet.example.net"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+path, http.NoBody)
		w := httptest.NewRecorder()
		o.ServeHTTP(w, r)
		return w
	}
	for _, path := range []string{"/", "/overview.js", "/overview.css", "/page/style.css", "/page/icon.svg"} {
		w := get("127.0.0.1:8479", path)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
	}
	for host, want := range map[string]int{
		"localhost:8479": 200, "[::1]:8479": 200, "fleet.example.net": 200, "fleet.example.net:443": 200,
		"evil.example": http.StatusMisdirectedRequest, "127.0.0.1.evil.example:8479": http.StatusMisdirectedRequest,
	} {
		if w := get(host, "/"); w.Code != want {
			t.Errorf("%s: %d; want %d", host, w.Code, want)
		}
	}
	if w := get("localhost", "/page/none.js"); w.Code != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", w.Code)
	}
	var v view
	w := get("localhost", "/v1/fleet?pool=cad")
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || !v.Connected || len(v.Hosts) != 1 ||
		time.Since(v.Time) > time.Minute {
		t.Errorf("got %v, %s", err, w.Body)
	}
}
