package api

import (
	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
	"wavryhost/session/hoststate"
)

func hostRoutes(h host) []route {
	return []route{
		authed("GET", "/v1/host", h.get, openapi.Operation{
			ID: "getHost", Tag: openapi.TagControl, Summary: "The host: state, limits, displays, encoders, version",
			Answers: []openapi.Answer{openapi.JSON(200, hostView{}, "The host.")},
		}),
		authed("GET", "/v1/capacity", h.capacity, openapi.Operation{
			ID: "getCapacity", Tag: openapi.TagControl,
			Summary: "Capacity for further sessions, and what limits it",
			Params: []openapi.Param{{
				In: "query", Name: "profile", Value: profileText(""),
				Text: "A size and frame rate, as 1280x720@30. Default: the usual profiles.",
			}},
			Answers: []openapi.Answer{openapi.JSON(200, capacities{}, "The current capacity.")},
		}),
		authed("GET", "/v1/displays", h.displays, openapi.Operation{
			ID: "listDisplays", Tag: openapi.TagControl, Summary: "The displays that the credential allows",
			Detail:  "Viewers get fewer fields than operators.",
			Answers: []openapi.Answer{tagged(displayList{}, "The displays."), unchanged()},
		}),
		authed("PUT", "/v1/displays/{display}/size", h.resize, openapi.Operation{
			ID: "resizeDisplay", Tag: openapi.TagControl, Summary: "Change the size of a display",
			Detail:  "For displays that are `resizable`, whoever controls them. Running streams continue with the new size.",
			Body:    openapi.Reads(sizing{Width: 1600, Height: 900}, "The new size."),
			Answers: []openapi.Answer{openapi.Empty(204, "The display has the size.")},
			Codes:   resizeCodes(problem.UnknownDisplay),
		}),
		authed("PUT", "/v1/cordon", h.cordon, openapi.Operation{
			ID: "cordon", Tag: openapi.TagControl, Summary: "Refuse new sessions, and leave the others alone",
			Detail: "The cordon survives restarts of the daemon. Another request during a cordon replaces it. " +
				"Reservations are released.",
			Body: &openapi.Body{
				Media: content.JSON, Optional: true, Value: cordoning{
					Note:            "new fan",
					DurationSeconds: 28_800,
				}, Text: "The reason and the end.",
			},
			Answers: []openapi.Answer{openapi.JSON(200, hostView{}, "The host.")},
		}),
		authed("DELETE", "/v1/cordon", h.uncordon, openapi.Operation{
			ID: "uncordon", Tag: openapi.TagControl, Summary: "End the cordon",
			Answers: []openapi.Answer{openapi.JSON(200, hostView{}, "The host.")},
		}),
		authed("GET", "/v1/drain", h.drainStatus, openapi.Operation{
			ID: "getDrain", Tag: openapi.TagControl, Summary: "Progress of the drain",
			Answers: []openapi.Answer{openapi.JSON(200, hoststate.DrainStatus{}, "The drain.")},
			Codes:   []problem.Code{problem.NotDraining},
		}),
		authed("PUT", "/v1/drain", h.drain, openapi.Operation{
			ID: "drain", Tag: openapi.TagControl, Summary: "Refuse new sessions, and move or end the others",
			Detail: "Another request during a drain replaces its policy and deadline. Reservations are released.",
			Body: openapi.Reads(draining{DeadlineSeconds: 3600, Policy: "move", Note: "update"},
				"What happens to the sessions, and their deadline."),
			Answers: []openapi.Answer{openapi.JSON(200, hostView{}, "The host.")},
		}),
		authed("DELETE", "/v1/drain", h.resume, openapi.Operation{
			ID: "resume", Tag: openapi.TagControl, Summary: "End the drain",
			Answers: []openapi.Answer{openapi.JSON(200, hostView{}, "The host.")},
		}),
		authed("PUT", "/v1/probation", h.beginProbation, openapi.Operation{
			ID: "beginProbation", Tag: openapi.TagControl,
			Summary: "Accept few sessions until they have gone well for a while",
			Detail:  "Another request during a probation starts its time again.",
			Answers: []openapi.Answer{openapi.JSON(200, hostView{}, "The host.")},
		}),
		authed("DELETE", "/v1/probation", h.endProbation, openapi.Operation{
			ID: "endProbation", Tag: openapi.TagControl, Summary: "End the probation",
			Answers: []openapi.Answer{openapi.JSON(200, hostView{}, "The host.")},
		}),
	}
}

// eventUnion gives each kind of event a schema of its own.
func eventUnion() openapi.Union {
	u := openapi.Union{
		Schema: "Event", Field: "kind", Common: []string{"id", "at", "kind"}, Variants: map[string]openapi.Variant{},
		Replaced: []string{"EventKind", "EventReason"},
	}
	for kind, s := range session.EventShapes() {
		v := openapi.Variant{Required: s.Required, Optional: s.Optional}
		if s.Reasons != nil {
			v.Words = map[string][]string{"reason": s.Reasons}
		}
		u.Variants[kind.String()] = v
	}
	return u
}

func eventRoutes(e events) []route {
	stream := authed("GET", "/v1/events", e.stream, openapi.Operation{
		ID: "followEvents", Tag: openapi.TagEvents, Summary: "Events, as server-sent events",
		Detail: "The stream ends when the client goes or the daemon stops. Without Last-Event-ID and after it begins with " +
			"the next event. An event `gap` comes first if requested events are lost. With filters, the client gets the " +
			"events that meet all of them; an `id` without data every 15 s lets it continue after the others.",
		Params: append([]openapi.Param{
			{In: "query", Name: "after", Value: uint64(0), Text: "Number of the last event that the client has."},
			{
				In: "header", Name: "Last-Event-ID", Value: uint64(0),
				Text: "The same, as browsers send it; takes precedence over `after`.",
			},
		}, filterParams()...),
		Answers: []openapi.Answer{{
			Status: 200, Media: typeEvents, Text: "The stream; the schema is that of each event's `data`.",
			OneOf: []any{session.EventRecord{}, gap{}},
		}},
		Codes: []problem.Code{problem.TooManyStreams},
	})
	stream.lasting = true
	return []route{
		stream,
		authed("GET", "/v1/sessions/{id}/timeline", e.timeline, openapi.Operation{
			ID: "getTimeline", Tag: openapi.TagEvents, Summary: "The events of a session, oldest first",
			Detail:  "The host keeps its newest 1024 events. A session that has ended is known as long as one of them is its.",
			Params:  []openapi.Param{kindParam()},
			Answers: []openapi.Answer{openapi.JSON(200, timeline{}, "The events.")},
			Codes:   []problem.Code{problem.UnknownSession},
		}),
	}
}

func configurationRoutes(c configuration, rev revocations) []route {
	return []route{
		authed("POST", "/v1/revocations", rev.create, openapi.Operation{
			ID: "revoke", Tag: openapi.TagControl, Summary: "Revoke a grant, or all grants of a subject",
			Detail: "The grants are refused from now on, and their sessions end within two seconds. The revocation is kept " +
				"as long as such a grant can live, over a restart if `auth.revocations_file` is set.",
			Body:    openapi.Reads(revoking{Issuer: "https://gateway.example.net", Subject: "ann"}, "What to revoke."),
			Answers: []openapi.Answer{openapi.JSON(200, revocation{}, "The grants are revoked.")},
			Codes:   []problem.Code{problem.BadRequest, problem.TooManyRevocations},
		}),
		authed("POST", "/v1/encoders/probe", c.probe, openapi.Operation{
			ID: "probeEncoders", Tag: openapi.TagControl, Summary: "Try all encoders again",
			Detail: "For example after a driver update. The event encoders_tried says that it is done; GET /v1/host has the " +
				"results. Active encodes continue.",
			Answers: []openapi.Answer{openapi.Empty(202, "The trial has been requested.")},
		}),
		authed("POST", "/v1/trial", c.try, openapi.Operation{
			ID: "tryProgram", Tag: openapi.TagControl, Summary: "Try the installed program",
			Detail: "The daemon starts the program that an update has installed, with its own settings and user. It reads the " +
				"configuration and the state, tries the encoders, and looks for displays. `trial` in GET /v1/host has the " +
				"result. Sessions continue.",
			Answers: []openapi.Answer{openapi.Empty(202, "The trial has been requested, or is running.")},
		}),
		authed("POST", "/v1/handover", c.handOver, openapi.Operation{
			ID: "handOver", Tag: openapi.TagControl, Summary: "Leave the host to the installed program",
			Detail: "The daemon starts the program that an update has installed beside itself. Once that works, it accepts " +
				"the sessions, and the viewer page moves to it without a freeze. Other viewers stay with the former daemon until " +
				"they leave, or until the deadline. If it does not work, nothing changes; `handover` in GET /v1/host has the " +
				"reason.",
			Body: &openapi.Body{
				Media: content.JSON, Optional: true, Value: handingOver{DeadlineSeconds: 600},
				Text: "When the remaining sessions end.",
			},
			Answers: []openapi.Answer{openapi.Empty(202, "The handover has been requested, or is running.")},
		}),
		authed("POST", "/v1/self-probe", c.selfProbe, openapi.Operation{
			ID: "selfProbe", Tag: openapi.TagControl, Summary: "Watch a display as a viewer does",
			Detail: "The daemon connects to itself by its public address, decodes pictures, and compares them with what was " +
				"captured, as it does at `host.probe_interval`. `self_probe` in GET /v1/host has the result.",
			Answers: []openapi.Answer{openapi.Empty(202, "The self-probe has been requested, or is running.")},
		}),
		authed("POST", "/v1/reload", c.reload, openapi.Operation{
			ID: "reload", Tag: openapi.TagControl, Summary: "Read the configuration again",
			Detail: "The whole configuration is checked; if it is refused, nothing changes. What can change while the daemon " +
				"runs is applied to future sessions.",
			Body: &openapi.Body{
				Media: content.JSON, Optional: true, Value: reloading{ConfirmSeconds: 60},
				Text: "Whether the change must be confirmed.",
			},
			Answers: []openapi.Answer{openapi.JSON(200, Reloaded{}, "The changed settings.")},
			Codes:   []problem.Code{problem.BadConfiguration},
		}),
		authed("POST", "/v1/reload/confirmation", c.confirm, openapi.Operation{
			ID: "confirmReload", Tag: openapi.TagControl,
			Summary: "Confirm a configuration change, which is reverted otherwise",
			Answers: []openapi.Answer{openapi.Empty(204, "The change is permanent.")},
			Codes:   []problem.Code{problem.NothingToConfirm},
		}),
	}
}
