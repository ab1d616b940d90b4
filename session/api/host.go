package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/audit"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
	"wavryhost/session/hoststate"

	"github.com/danielgtaylor/huma/v2"
)

// reader reads the JSON body of a request into v, a pointer; see openapi.Spec.Read.
type reader func(w http.ResponseWriter, r *http.Request, v any, optional bool) error

// host answers requests about the host.
type host struct {
	mgr  hostManager
	cfg  Config
	read reader
}

// The optional features of a host.
const (
	featureAnonymous    = "anonymous_viewers"
	featureAudit        = "audit"
	featureCertificates = "client_certificates"
	featureFleet        = "fleet"
	featureGateway      = "gateway_link"
	featureGrants       = "grants"
	featureTokens       = "tokens"
)

// features lists what GET /v1/host can have in features.
func features() []string {
	return []string{
		featureAnonymous, featureAudit, featureCertificates, featureFleet, featureGateway, featureGrants, featureTokens,
	}
}

// Features returns the optional features in use, sorted.
func (c Config) Features() []string {
	on := map[string]bool{
		featureAnonymous: c.AnonymousRole == AnonymousViewer, featureAudit: audit.New(c.Audit).On(),
		featureCertificates: c.auth().RequestsCertificates(), featureFleet: c.Fleet != nil && c.Fleet() != nil,
		featureGateway: c.Gateway != nil,
		featureGrants:  c.Grants != nil, featureTokens: c.TokensFile != "",
	}
	return slices.DeleteFunc(features(), func(f string) bool { return !on[f] })
}

// hostView is the host as clients see it.
type hostView struct {
	ID   string `json:"id,omitempty" doc:"Permanent ID of the host: the setting host_id, or derived from the machine ID."`
	Name string `json:"name,omitempty" doc:"Name of the machine."`

	APIVersion string            `json:"api_version" doc:"Version of the API, as info.version of the OpenAPI document."`
	Features   []string          `json:"features" set:"Feature" doc:"Optional parts that are in use on this host."`
	Labels     map[string]string `json:"labels" doc:"Labels of the host, such as region and pool, by the setting host.labels."`
	BootID     string            `json:"boot_id" doc:"Identifies this run of the daemon. Sessions and reservations of another run no longer exist."`
	Time       time.Time         `json:"time" doc:"Time of this answer by the host's clock."`

	session.Host
	Uptime         float64              `json:"uptime_seconds" doc:"Time since the daemon started, in seconds."`
	Version        string               `json:"version" doc:"The daemon's version."`
	SourceURL      string               `json:"source_url,omitempty" doc:"Address of the source code of this version, which the AGPL entitles each user to."`
	Platform       string               `json:"platform,omitempty" doc:"System and architecture, such as linux/amd64."`
	RestartPending bool                 `json:"restart_pending" doc:"Whether an update has replaced the program while the daemon runs the old one. wavry-host upgrade restarts it."`
	Trial          *ProgramTrial        `json:"trial,omitempty" doc:"The last trial of the installed program, if one was requested since it was installed."`
	Handover       *Handover            `json:"handover,omitempty" doc:"The last attempt to leave the host to the installed program, if there was one."`
	Former         *FormerDaemon        `json:"former,omitempty" doc:"The daemon that this one has taken over from, as long as it has sessions."`
	SelfProbe      *SelfProbe           `json:"self_probe,omitempty" doc:"The last self-probe, if there was one."`
	Capacity       []admission.Capacity `json:"capacity" doc:"Capacity for further sessions at the usual profiles, as in GET /v1/capacity."`
	PageURL        string               `json:"page_url,omitempty" doc:"Address of the viewer page, by the address that the daemon listens on. Only operators see it."`
	Gateway        *GatewayLink         `json:"gateway,omitempty" doc:"The link to a gateway, if there is one."`
	Fleet          *FleetLink           `json:"fleet,omitempty" doc:"The host's place in a fleet, if it has one."`
}

// describe returns the host as its reader may see it: only operators see addresses and accounts.
func (h host) describe(r *http.Request) hostView {
	info := h.mgr.Host()
	info.Displays = orEmpty(info.Displays)
	info.Encoders = orEmpty(info.Encoders)
	if h.cfg.Labels == nil {
		h.cfg.Labels = map[string]string{}
	}
	v := hostView{
		ID: h.cfg.ID, Name: h.cfg.Name, Host: info, Uptime: time.Since(info.Started).Seconds(), Version: h.cfg.Version,
		SourceURL:      h.cfg.SourceURL,
		RestartPending: h.cfg.RestartPending != nil && h.cfg.RestartPending(),
		Platform:       h.cfg.Platform, Capacity: orEmpty(h.mgr.Capacity()),
		APIVersion: openapi.Version, Features: h.cfg.Features(), Labels: h.cfg.Labels, BootID: h.cfg.BootID, Time: time.Now(),
	}
	if auth.PrincipalOf(r.Context()).Role != grant.Operator {
		return v
	}
	if h.cfg.Trial != nil {
		v.Trial = h.cfg.Trial()
	}
	if h.cfg.Handover != nil {
		v.Handover = h.cfg.Handover()
	}
	if f := h.cfg.Former; f != nil && f.Sessions() >= 0 {
		v.Former = &FormerDaemon{f.Sessions()}
	}
	if h.cfg.LastProbe != nil {
		v.SelfProbe = h.cfg.LastProbe()
	}
	if h.cfg.PageURL != nil {
		v.PageURL = h.cfg.PageURL()
	}
	if h.cfg.Gateway != nil {
		link := h.cfg.Gateway()
		v.Gateway = &link
	}
	if h.cfg.Fleet != nil {
		v.Fleet = h.cfg.Fleet()
	}
	return v
}

func (h host) get(w http.ResponseWriter, r *http.Request) error {
	return content.WriteJSON(w, http.StatusOK, h.describe(r))
}

// displayList is the answer of GET /v1/displays.
type displayList struct {
	Displays []session.DisplayInfo `json:"displays" doc:"The default display is first."`
}

// displays lists the displays that the client may watch. A viewer learns what it needs to choose one, and nothing of
// other viewers.
func (h host) displays(w http.ResponseWriter, r *http.Request) error {
	list, p := h.mgr.Host().Displays, auth.PrincipalOf(r.Context())
	if p.Role == grant.Viewer || p.Role == grant.Controller {
		mine := []session.DisplayInfo{}
		for _, d := range list {
			if p.Watches(d.ID) {
				d.Viewers, d.Encodings, d.Control, d.Reason = 0, 0, "", ""
				mine = append(mine, d)
			}
		}
		list = mine
	}
	return serveTagged(w, r, displayList{orEmpty(list)})
}

// resize changes the size of a display as the operator.
func (h host) resize(w http.ResponseWriter, r *http.Request) error {
	var in sizing
	if err := h.read(w, r, &in, false); err != nil {
		return err
	}
	order := session.Resize{Display: r.PathValue("display"), Size: in.size()}
	if err := h.mgr.Resize(r.Context(), order); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// profileText is a size and frame rate in the query; see admission.ParseProfile.
type profileText string

// Schema describes it in the document.
func (profileText) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{
		Type: huma.TypeString, Pattern: `^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}@[1-9][0-9]{0,2}$`,
		Examples:    []any{"1280x720@30", "1920x1080@60"},
		Description: "Width and height from 16 to 8192 pixels, and 1 to 240 frames per second.",
	}
	s.PrecomputeMessages()
	return s
}

// capacities is the answer of GET /v1/capacity.
type capacities struct {
	Profiles []admission.Capacity `json:"profiles" doc:"The largest first, or the one in the query."`
	Load     *session.Load        `json:"load,omitempty" doc:"Load of the machine, if it is known."`
}

func (h host) capacity(w http.ResponseWriter, r *http.Request) error {
	var profiles []admission.Profile
	if text := r.URL.Query().Get("profile"); text != "" {
		p, err := admission.ParseProfile(text)
		if err != nil {
			return problem.New(problem.BadRequest, "profile %s is not WIDTHxHEIGHT@FPS, as 1280x720@30",
				problem.Shorten(strconv.Quote(text)))
		}
		profiles = []admission.Profile{p}
	}
	answer := capacities{Profiles: h.mgr.Capacity(profiles...), Load: h.mgr.Host().Load}
	return content.WriteJSON(w, http.StatusOK, answer)
}

// draining is the body of PUT /v1/drain. A day is longer than anybody watches a desktop without a break, and far from
// an overflow.
type draining struct {
	DeadlineSeconds float64  `json:"deadline_seconds" minimum:"0" maximum:"86400" doc:"How long the sessions may continue, in seconds. 0 means without limit; with the policy end it means that they end at once."`
	Policy          string   `json:"policy,omitempty" set:"DrainPolicy" doc:"What happens to the sessions before the deadline. wait, the default, does nothing. move asks for each to be moved, by an event session_move. end ends them one by one."`
	PostponeSeconds *float64 `json:"postpone_seconds,omitempty" minimum:"0" maximum:"86400" doc:"For how long in total a viewer may postpone the end of its session, in seconds, also beyond the deadline; 0 for not at all. Default: the setting sessions.drain_postpone."`
	Note            string   `json:"note,omitempty" maxLength:"200" doc:"The reason, for people: it is in GET /v1/host, the log and the event."`
}

func (d draining) deadline() time.Duration {
	return time.Duration(d.DeadlineSeconds * float64(time.Second))
}

func (h host) drain(w http.ResponseWriter, r *http.Request) error {
	var in draining
	if err := h.read(w, r, &in, false); err != nil {
		return err
	}
	o := hoststate.DrainOrder{Deadline: in.deadline(), Owner: ownerOf(r), Note: in.Note}
	for _, p := range hoststate.DrainPolicies() {
		if p.String() == in.Policy {
			o.Policy = p
		}
	}
	if in.PostponeSeconds != nil {
		o.Postpone = new(time.Duration(*in.PostponeSeconds * float64(time.Second)))
	}
	noteObject(w, fmt.Sprintf("%v, %v", o.Policy, o.Deadline))
	h.mgr.Drain(o)
	return content.WriteJSON(w, http.StatusOK, h.describe(r))
}

func (h host) drainStatus(w http.ResponseWriter, _ *http.Request) error {
	d, ok := h.mgr.Draining()
	if !ok {
		return problem.New(problem.NotDraining, "the host is not draining")
	}
	return content.WriteJSON(w, http.StatusOK, d)
}

func (h host) resume(w http.ResponseWriter, r *http.Request) error {
	h.mgr.Resume()
	return content.WriteJSON(w, http.StatusOK, h.describe(r))
}

// cordoning is the body of PUT /v1/cordon. A year is longer than any repair.
type cordoning struct {
	Note            string  `json:"note,omitempty" maxLength:"200" doc:"The reason, for people: it is in GET /v1/host, the log and the event."`
	DurationSeconds float64 `json:"duration_seconds,omitempty" minimum:"0" maximum:"31536000" doc:"When the cordon ends, in seconds from now. 0, the default, means never."`
}

func (h host) cordon(w http.ResponseWriter, r *http.Request) error {
	var in cordoning
	if err := h.read(w, r, &in, true); err != nil {
		return err
	}
	h.mgr.Cordon(hoststate.CordonOrder{
		Owner: ownerOf(r), Note: in.Note, For: time.Duration(in.DurationSeconds * float64(time.Second)),
	})
	return content.WriteJSON(w, http.StatusOK, h.describe(r))
}

func (h host) uncordon(w http.ResponseWriter, r *http.Request) error {
	h.mgr.Uncordon()
	return content.WriteJSON(w, http.StatusOK, h.describe(r))
}

// ownerOf returns the name of the operator who makes a request, else the kind of the credential.
func ownerOf(r *http.Request) string {
	p := auth.PrincipalOf(r.Context())
	return cmp.Or(p.Name, p.Credential)
}

func (h host) beginProbation(w http.ResponseWriter, r *http.Request) error {
	h.mgr.SetProbation(true)
	return content.WriteJSON(w, http.StatusOK, h.describe(r))
}

func (h host) endProbation(w http.ResponseWriter, r *http.Request) error {
	h.mgr.SetProbation(false)
	return content.WriteJSON(w, http.StatusOK, h.describe(r))
}

// orEmpty makes a list that encodes as [] instead of null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
