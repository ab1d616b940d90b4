package api

import (
	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/content"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

// exampleOffer is an offer in examples of the document.
const exampleOffer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n" +
	"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=setup:actpass\r\n" +
	"a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:" +
	"E6:0F\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n"

// exampleReservation is a reservation in examples of the document.
func exampleReservation() reserving {
	return reserving{
		Display: "x11:0", Subject: "ann", Role: "controller", HoldSeconds: 60, MaxBitrate: 8_000_000, Weight: 200,
		ExternalID: "job-4711", Labels: map[string]string{"team": "cad"},
	}
}

func whepRoutes(h *whep.Handler) []route {
	region := openapi.Param{
		In: "query", Name: "region", Value: regionName(""),
		Text: "Region of the ICE servers. Default: the host's choice.",
	}
	return []route{
		// The handler of all OPTIONS answers it; see Server.options.
		{Route: openapi.Route{
			Method: "OPTIONS", Path: "/whep/{display}", Open: true, Credential: true,
			Operation: openapi.Operation{
				ID: "getSessionOptions", Tag: openapi.TagWHEP, Summary: "What a viewer needs before it connects",
				Detail: "Without a credential it answers a preflight of CORS. With a credential that may open sessions, the " +
					"answer has the ICE servers.",
				Params: []openapi.Param{region},
				Answers: []openapi.Answer{{
					Status: 204, Text: "The accepted media types, and the ICE servers.",
					Header: []string{"Accept-Post", "Accept-Patch"}, May: []string{"Link", "Wavry-Input"},
				}},
			},
		}},
		creating(authed("POST", "/whep/{display}", h.Create, openapi.Operation{
			ID: "openSession", Tag: openapi.TagWHEP, Summary: "Open a session",
			Detail: "The session shows the User-Agent.",
			Params: []openapi.Param{
				{In: "query", Name: "reservation", Value: "", Text: "ID of the reservation that the viewer uses."},
				region,
				{
					In: "query", Name: "pointer", Value: pointerWay(""),
					Text: "How the viewer gets the pointer: in the `picture`, which is the default, or by a data `channel` " +
						"with the label `pointer`, to draw it itself. Displays that offer it in the picture only show it there.",
				},
				{
					In: "query", Name: "replaces", Value: "",
					Text: "ID of a session that is `moving`: the new session has its display, ceiling, weight, names and control. " +
						"The viewer ends the former one as soon as it has the new picture.",
				},
				traceParam(),
			},
			Body: &openapi.Body{
				Media:   whep.TypeSDP,
				Example: exampleOffer,
				Text:    "An offer (RFC 8866) that receives one video in one of the host's codecs, such as H.264 or VP9.",
			},
			Answers: []openapi.Answer{{
				Status: 201, Media: whep.TypeSDP, Text: "The host's answer.",
				Header: []string{"Location", "ETag", "Accept-Patch"}, May: []string{"Link"},
			}},
			Codes: append(openCodes(), problem.BadRequest, problem.NotAcceptable, problem.UnknownSession),
		})),
		authed("PATCH", "/whep/sessions/{id}", h.Patch, openapi.Operation{
			ID: "patchSession", Tag: openapi.TagWHEP, Summary: "Trickle candidates, or restart ICE",
			Params: []openapi.Param{{
				In: "header", Name: "If-Match", Value: "",
				Text: "The session's ETag for trickle ICE, `*` for an ICE restart. " +
					"Candidates with the `ice-ufrag` of the current ICE session need none.",
			}},
			Body: &openapi.Body{
				Media: whep.TypeFragment, Text: "A fragment (RFC 8840): candidates, or new ICE credentials.",
				Example: "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" +
					"a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 54321 typ host\r\na=end-of-candidates\r\n",
			},
			Answers: []openapi.Answer{
				openapi.Empty(204, "The candidates are accepted."),
				{
					Status: 200, Media: whep.TypeFragment, Header: []string{"ETag"},
					Text: "ICE is restarted. The body has the host's new credentials and candidates.",
				},
			},
			Codes: []problem.Code{
				problem.BadSDP, problem.UnknownSession, problem.StaleETag, problem.PreconditionRequired,
				problem.Timeout,
			},
		}),
		authed("DELETE", "/whep/sessions/{id}", h.Delete, openapi.Operation{
			ID: "leaveSession", Tag: openapi.TagWHEP, Summary: "End a session as its viewer",
			Answers: []openapi.Answer{openapi.Empty(200, "The session has ended and has released everything.")},
			Codes:   []problem.Code{problem.UnknownSession, problem.Timeout},
		}),
	}
}

// traceParam is the parameter of requests whose trace the set-up of the session continues.
func traceParam() openapi.Param {
	return openapi.Param{
		In: "header", Name: "traceparent", Value: "",
		Text: "The client's trace (W3C Trace Context). If the host exports traces, the set-up of the session continues it. " +
			"An invalid one is ignored.",
	}
}

// openCodes are the errors of opening a session.
func openCodes() []problem.Code {
	return []problem.Code{
		problem.BadSDP, problem.UnknownDisplay, problem.UnknownReservation, problem.BadReservation, problem.BadChange,
		problem.NoPicture, problem.UnacceptableOffer, problem.Full, problem.TooManyGrants, problem.Draining,
		problem.NoNetwork, problem.Timeout,
	}
}

// tagged returns an answer with an entity tag.
func tagged(value any, text string) openapi.Answer {
	a := openapi.JSON(200, value, text)
	a.Header = []string{"ETag"}
	return a
}

// The filters of lists.
func ownerParam() openapi.Param {
	return openapi.Param{In: "query", Name: "owner", Value: "", Text: "Only items of that subject."}
}

func displayParam() openapi.Param {
	return openapi.Param{In: "query", Name: "display", Value: "", Text: "Only items of the display with that ID."}
}

func stateParam() openapi.Param {
	return openapi.Param{
		In: "query", Name: "state", Value: "", Set: "SessionState", Text: "Only sessions in that state.",
	}
}

func externalParam() openapi.Param {
	return openapi.Param{In: "query", Name: "external_id", Value: "", Text: "Only items with that external ID."}
}

func sessionRoutes(s sessions) []route {
	return []route{
		authed("GET", "/v1/sessions", s.list, openapi.Operation{
			ID: "listSessions", Tag: openapi.TagControl, Summary: "The sessions, oldest first, by pages",
			Params:  listParams(session.Snapshot{}, ownerParam(), displayParam(), stateParam(), externalParam()),
			Answers: []openapi.Answer{tagged(sessionList{}, "The sessions."), unchanged()},
		}),
		creating(authed("POST", "/v1/sessions", s.create, openapi.Operation{
			ID: "createSession", Tag: openapi.TagControl,
			Summary: "Open a session for a viewer",
			Detail: "The same as POST /whep/{display}, for a gateway that has the viewer's offer. The viewer trickles " +
				"candidates and restarts ICE at `path`. With `subject` it does so itself, with `viewer_token`. " +
				"A viewer that sends its offer itself needs a reservation.",
			Params: []openapi.Param{traceParam()},
			Body: openapi.Reads(opening{
				Display: "x11:0", SDP: exampleOffer, Subject: "ann",
				ExternalID: "job-4711",
			}, "The display to watch, and the viewer's offer."),
			Answers: []openapi.Answer{{
				Status: 201, Media: content.JSON, Value: opened{}, Text: "The host's answer.",
				Header: []string{"Location"},
			}},
			Codes: openCodes(),
		})),
		authed("GET", "/v1/sessions/{id}", s.get, openapi.Operation{
			ID: "getSession", Tag: openapi.TagControl,
			Summary: "One session with its figures and its last 32 quality transitions",
			Answers: []openapi.Answer{openapi.JSON(200, session.Snapshot{}, "The session.")},
			Codes:   []problem.Code{problem.UnknownSession},
		}),
		authed("PATCH", "/v1/sessions/{id}", s.change, openapi.Operation{
			ID: "changeSession", Tag: openapi.TagControl, Summary: "Change a session: ceiling, weight, display",
			Body: openapi.Reads(changing{MaxBitrate: new(2_000_000), Display: new("x11:1")},
				"The values to change. Omitted ones stay."),
			Answers: []openapi.Answer{
				openapi.JSON(200, session.Snapshot{},
					"The session. A new display is shown from its first keyframe on."),
			},
			Codes: []problem.Code{
				problem.UnknownSession, problem.UnknownDisplay, problem.NoPicture, problem.BadChange, problem.Full,
				problem.Timeout,
			},
		}),
		authed("DELETE", "/v1/sessions/{id}", s.end, openapi.Operation{
			ID: "endSession", Tag: openapi.TagControl, Summary: "End a session as the operator",
			Params: []openapi.Param{{
				In: "query", Name: "reason", Value: endText(""),
				Text: "Why, in words for people. The event session_ended and its log record have it as note.",
			}},
			Answers: []openapi.Answer{openapi.Empty(204, "The session has ended and has released everything.")},
			Codes:   []problem.Code{problem.UnknownSession, problem.Timeout},
		}),
		authed("POST", "/v1/sessions/{id}/postpone", s.postpone, openapi.Operation{
			ID: "postponeEnd", Tag: openapi.TagControl, Summary: "Postpone the end of a session by a drain",
			Detail: "The viewer and operators may do so while `ending` of the session has `postpone_seconds`. Several " +
				"requests add up.",
			Body: &openapi.Body{
				Media: content.JSON, Optional: true, Value: postponing{Seconds: 600},
				Text: "By how long.",
			},
			Answers: []openapi.Answer{openapi.JSON(200, session.Snapshot{}, "The session, with its new end.")},
			Codes:   []problem.Code{problem.UnknownSession, problem.NotPostponable},
		}),
		authed("PUT", "/v1/sessions/{id}/viewer", s.reportViewer, openapi.Operation{
			ID: "reportViewer", Tag: openapi.TagControl, Summary: "Report what the viewer's player has counted",
			Detail: "For the viewer of the session: `freezeCount` and `totalFreezesDuration` of its statistics (W3C), " +
				"counted since the session began. Metrics and the session show them. The request is not in the audit log.",
			Body:    openapi.Reads(viewerFigures{Freezes: 2, FrozenSeconds: 0.75}, "The figures of the viewer."),
			Answers: []openapi.Answer{openapi.Empty(204, "The figures are accepted.")},
			Codes:   []problem.Code{problem.UnknownSession},
		}),
		authed("PUT", "/v1/sessions/{id}/control", s.giveControl, openapi.Operation{
			ID: "giveControl", Tag: openapi.TagControl, Summary: "Give a session control of its display",
			Detail: "The session that had control loses it, and its pressed keys and buttons are released. " +
				"Control is free again when the session sends no input for the time of the setting input.idle.",
			Answers: []openapi.Answer{openapi.JSON(200, session.Snapshot{}, "The session.")},
			Codes:   []problem.Code{problem.UnknownSession, problem.NoControl},
		}),
		authed("DELETE", "/v1/sessions/{id}/control", s.withdrawControl, openapi.Operation{
			ID: "withdrawControl", Tag: openapi.TagControl, Summary: "Withdraw control from a session permanently",
			Detail:  "Its pressed keys and buttons are released. Only PUT gives it control again.",
			Answers: []openapi.Answer{openapi.JSON(200, session.Snapshot{}, "The session.")},
			Codes:   []problem.Code{problem.UnknownSession},
		}),
		authed("PUT", "/v1/sessions/{id}/size", s.resize, openapi.Operation{
			ID: "resizeSessionDisplay", Tag: openapi.TagControl, Summary: "Change the size of a session's display",
			Detail: "For displays that are `resizable`. The session must have control, or be able to take it. The stream " +
				"continues with the new size; all viewers of the display get it.",
			Body:    openapi.Reads(sizing{Width: 1600, Height: 900}, "The new size."),
			Answers: []openapi.Answer{openapi.Empty(204, "The display has the size.")},
			Codes:   resizeCodes(problem.UnknownSession, problem.NoControl),
		}),
		authed("POST", "/v1/sessions/{id}/keyframe", s.keyframe, openapi.Operation{
			ID: "requestKeyframe", Tag: openapi.TagControl, Summary: "Request a keyframe",
			Detail: "The same as a request of the viewer (RTCP PLI). Requests at the same time cause one keyframe. " +
				"On a slow path the keyframe waits for its turn.",
			Answers: []openapi.Answer{openapi.Empty(202, "The keyframe is requested.")},
			Codes:   []problem.Code{problem.UnknownSession},
		}),
		authed("GET", "/v1/sessions/{id}/recording", s.recording, openapi.Operation{
			ID: "getRecording", Tag: openapi.TagControl,
			Summary: "The session's flight recording, for `wavry-host replay`",
			Answers: []openapi.Answer{{
				Status: 200, Media: "application/octet-stream", Value: openapi.Binary{}, Text: "The recording.",
				Header: []string{"Content-Disposition"},
			}},
			Codes: []problem.Code{problem.UnknownSession},
		}),
	}
}

// resizeCodes are the errors of changing a display's size.
func resizeCodes(more ...problem.Code) []problem.Code {
	return append(more, problem.FixedSize, problem.BadChange, problem.NoPicture, problem.Timeout)
}

func reservationRoutes(s reservations) []route {
	return []route{
		creating(authed("POST", "/v1/reservations", s.create, openapi.Operation{
			ID: "reserve", Tag: openapi.TagControl, Summary: "Reserve capacity for a future session",
			Detail: "The viewer uses it by POST to `path`: with `viewer_token` if there is a `subject`, else with its own " +
				"credential and `?reservation=ID`. It counts as a session until it is used, released or expired.",
			Body: openapi.Reads(exampleReservation(), "The session that the reservation is for."),
			Answers: []openapi.Answer{{
				Status: 201, Media: content.JSON, Value: reserved{}, Header: []string{"Location"},
				Text: "The reservation, and the ICE servers for its viewer.",
			}},
			Codes: []problem.Code{
				problem.UnknownDisplay, problem.BadReservation, problem.BadChange, problem.Full, problem.Draining,
			},
		})),
		authed("GET", "/v1/reservations", s.list, openapi.Operation{
			ID: "listReservations", Tag: openapi.TagControl, Summary: "The reservations, sorted by expiry, by pages",
			Params:  listParams(admission.Reservation{}, ownerParam(), displayParam(), externalParam()),
			Answers: []openapi.Answer{tagged(reservationList{}, "The reservations."), unchanged()},
		}),
		authed("GET", "/v1/reservations/{id}", s.get, openapi.Operation{
			ID: "getReservation", Tag: openapi.TagControl, Summary: "One reservation",
			Answers: []openapi.Answer{openapi.JSON(200, admission.Reservation{}, "The reservation.")},
			Codes:   []problem.Code{problem.UnknownReservation},
		}),
		authed("PATCH", "/v1/reservations/{id}", s.renew, openapi.Operation{
			ID: "renewReservation", Tag: openapi.TagControl, Summary: "Renew a reservation",
			Detail:  "It is held for that long from now on. The viewer token remains valid.",
			Body:    openapi.Reads(renewing{HoldSeconds: 60}, "How long to hold it."),
			Answers: []openapi.Answer{openapi.JSON(200, admission.Reservation{}, "The reservation.")},
			Codes:   []problem.Code{problem.UnknownReservation},
		}),
		authed("DELETE", "/v1/reservations/{id}", s.release, openapi.Operation{
			ID: "release", Tag: openapi.TagControl, Summary: "Release a reservation",
			Answers: []openapi.Answer{openapi.Empty(204, "The reservation is released.")},
			Codes:   []problem.Code{problem.UnknownReservation},
		}),
	}
}
