// Package overview serves the page of a fleet, whose files are beside this one. The page shows the hosts of a View,
// with their sessions, quality, room and versions. It changes nothing.
package overview

import (
	"cmp"
	"embed"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"wavryhost/session/api/content"
	"wavryhost/session/api/page"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/pool"
)

//go:embed *.html *.css *.js
var files embed.FS

// policy lets the page load its own files and connect to its own server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// maxHosts bounds the hosts of an answer: a page with more is of no use.
const maxHosts = 500

// Source knows the hosts of a fleet; see pool.View.
type Source interface{ Hosts() []pool.Host }

// Overview serves the page.
type Overview struct {
	from      Source
	connected func() bool
	hosts     []string
	mux       *http.ServeMux
}

// New returns the page of the hosts of a Source. connected reports whether NATS is reached. Requests must name one of
// hosts, or an address of this machine.
func New(from Source, connected func() bool, hosts []string) (*Overview, error) {
	viewer, err := page.New("") // its style and scripts are used, not its page
	if err != nil {
		return nil, err
	}
	o := &Overview{from: from, connected: connected, hosts: hosts, mux: http.NewServeMux()}
	o.mux.HandleFunc("GET /v1/fleet", o.fleet)
	o.mux.HandleFunc("GET /page/{file}", func(w http.ResponseWriter, r *http.Request) {
		if viewer.Serve(w, r) != nil {
			http.NotFound(w, r)
		}
	})
	for name, kind := range map[string]string{
		"index.html": "text/html; charset=utf-8", "overview.css": "text/css; charset=utf-8",
		"overview.js": "text/javascript; charset=utf-8",
	} {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := content.NewStatic(kind, text)
		if err != nil {
			return nil, err
		}
		o.mux.HandleFunc("GET /"+strings.Replace(name, "index.html", "{$}", 1), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			_ = file.Serve(w, r) // a browser that is gone
		})
	}
	return o, nil
}

// ServeHTTP answers requests. A request that names another host is refused: its page must not read this one.
func (o *Overview) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	if name != "localhost" && (ip == nil || !ip.IsLoopback()) && !slices.Contains(o.hosts, name) {
		http.Error(w, "this page is not for "+name+"; start it with --host "+name, http.StatusMisdirectedRequest)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	o.mux.ServeHTTP(w, r)
}

// shown is a host as the page shows it.
type shown struct {
	pool.Host
	// Shown is the state, or what is more important: gone, stopped, or that two hosts have this identity.
	Shown      string    `json:"shown"`
	ShownSince time.Time `json:"shown_since"`
}

// stateDuplicate is shown of hosts with one identity.
const stateDuplicate = "duplicate"

// show returns a host as the page shows it.
func show(h pool.Host) shown {
	s := shown{h, h.State, h.Since}
	switch {
	case h.Duplicate:
		s.Shown = stateDuplicate
	case h.Presence == pool.Gone || h.Presence == pool.Stopped:
		s.Shown, s.ShownSince = h.Presence, h.PresenceSince
	}
	return s
}

// figures are sums over hosts.
type figures struct {
	Name       string         `json:"name,omitempty"`
	Present    int            `json:"present"`
	Accepting  int            `json:"accepting"`
	Withheld   int            `json:"withheld"` // cordoned or draining
	Gone       int            `json:"gone"`
	Duplicates int            `json:"duplicates"`
	Sessions   int            `json:"sessions"`
	Limit      int            `json:"limit"`
	Poor       int            `json:"poor"` // sessions whose quality is not good
	Quality    map[string]int `json:"quality,omitempty"`
}

// add adds a host.
func (f *figures) add(s shown) {
	switch s.Shown {
	case pool.Gone:
		f.Gone++
		return
	case pool.Stopped:
		return
	case stateDuplicate:
		f.Duplicates++
	case "cordoned", "draining":
		f.Withheld++
	case "active", "degraded", "probation":
		f.Accepting++
	}
	f.Present++
	f.Sessions += s.Sessions
	f.Limit += s.Limit
	for state, n := range s.Quality {
		if f.Quality == nil {
			f.Quality = make(map[string]int)
		}
		f.Quality[state] += n
		if state != "good" {
			f.Poor += n
		}
	}
}

// room is the room of a profile.
type room struct {
	Profile string `json:"profile"`
	More    int    `json:"more"`
	Hosts   int    `json:"hosts"`
}

// view is the answer for the page.
type view struct {
	Time      time.Time `json:"time"`
	Connected bool      `json:"connected"`
	// Pools and States are what can be chosen.
	Pools    []string  `json:"pools"`
	States   []string  `json:"states"`
	Figures  figures   `json:"figures"`
	Regions  []figures `json:"regions"`
	Versions []figures `json:"versions"`
	Profiles []room    `json:"profiles"`
	// Hosts are the first of the Matching ones.
	Matching int     `json:"matching"`
	Hosts    []shown `json:"hosts"`
}

// fleet answers with the hosts that the query chooses. Pools and states are of the whole fleet.
func (o *Overview) fleet(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := look(o.from.Hosts(), q.Get("pool"), q.Get("region"), q.Get("state"), strings.ToLower(q.Get("find")))
	v.Time, v.Connected = time.Now(), o.connected()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// look returns what the page shows of a list. Empty text chooses all.
func look(list []pool.Host, poolName, region, state, find string) view {
	v := view{Pools: []string{}, States: []string{}, Regions: []figures{}, Versions: []figures{}, Profiles: []room{}}
	pools, states := make(map[string]bool), make(map[string]bool)
	regions, versions, rooms := make(map[string]*figures), make(map[string]*figures), make(map[string]*room)
	v.Hosts = []shown{}
	for _, one := range list {
		h := show(one)
		pools[h.Labels[bus.LabelPool]], states[h.Shown] = true, true
		if poolName != "" && h.Labels[bus.LabelPool] != poolName {
			continue
		}
		group(regions, h.Labels[bus.LabelRegion]).add(h)
		if region != "" && h.Labels[bus.LabelRegion] != region {
			continue
		}
		group(versions, h.Version).add(h)
		v.Figures.add(h)
		if h.Shown == "active" || h.Shown == "degraded" || h.Shown == "probation" {
			for _, c := range h.Capacity {
				p := rooms[c.Profile]
				if p == nil {
					p = &room{Profile: c.Profile}
					rooms[c.Profile] = p
				}
				p.More, p.Hosts = p.More+c.More, p.Hosts+min(c.More, 1)
			}
		}
		if state != "" && h.Shown != state ||
			!strings.Contains(strings.ToLower(h.Name+"\n"+h.ID+"\n"+h.Version), find) {
			continue
		}
		if v.Matching++; len(v.Hosts) < maxHosts {
			v.Hosts = append(v.Hosts, h)
		}
	}
	delete(pools, "")
	v.Pools = slices.AppendSeq(v.Pools, maps.Keys(pools))
	v.States = slices.AppendSeq(v.States, maps.Keys(states))
	slices.Sort(v.Pools)
	slices.Sort(v.States)
	v.Regions, v.Versions = sorted(regions), sorted(versions)
	for _, p := range rooms {
		v.Profiles = append(v.Profiles, *p)
	}
	slices.SortFunc(v.Profiles, func(a, b room) int { return cmp.Or(b.More-a.More, cmp.Compare(a.Profile, b.Profile)) })
	return v
}

// group returns the figures with a name.
func group(of map[string]*figures, name string) *figures {
	if of[name] == nil {
		of[name] = &figures{Name: name}
	}
	return of[name]
}

func sorted(of map[string]*figures) []figures {
	list := make([]figures, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, *of[name])
	}
	return list
}
