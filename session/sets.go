package session

import (
	"slices"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/codec"
	"wavryhost/session/floor"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/progress"
	"wavryhost/session/relay"
)

// Sets returns the closed sets of words in what the control API shows, by the names that the fields' `set` tags have.
func Sets() map[string][]string {
	quality, reasons := words(adapt.States()), words(adapt.Reasons())
	events := slices.Concat(
		words(EndReasons()), encodingMoves, undeliveredReasons, refusedReasons, handshakeResults, configOutcomes,
		Resources(), Exits(), reasons, codec.Reasons(), admission.Ends(), relay.Reasons(), progress.Kinds(),
		floor.Reasons(), floor.ChannelRefusals(),
		hoststate.Reasons(), hoststate.EndingReasons(), words(hoststate.DrainPolicies()),
		words(pipeline.FallbackReasons()), words(pipeline.Healths()[1:]), words(pipeline.LostReasons()))
	slices.Sort(events)
	return map[string][]string{
		"Credential":    Credentials(),
		"EndReason":     words(EndReasons()),
		"SessionState":  sessionStates,
		"DisplayState":  slices.Concat(words(pipeline.States()), displayFaults),
		"HostState":     hoststate.States(),
		"StateReason":   slices.Concat(hoststate.Reasons(), words(pipeline.Healths()[1:])),
		"DrainPolicy":   words(hoststate.DrainPolicies()),
		"Resource":      Resources(),
		"Role":          words(floor.Roles()),
		"Path":          peer.Paths(),
		"Protocol":      peer.Protocols(),
		"Pointer":       {pointerInPicture, pointerByChannel},
		"Codec":         codecs(),
		"CodecReason":   codec.Reasons(),
		"Quality":       quality,
		"QualityReason": reasons,
		"EncoderPrice":  words([]encode.Price{encode.PriceFree, encode.PriceKeyframe, encode.PriceReopen}),
		"Surface":       surfaces(),
		"Ceiling":       ceilingOwners,
		"EventKind":     words(EventKinds()),

		"UndeliveredReason": undeliveredReasons,
		"EncoderFailure":    failures(),

		"ICEServerState":  relay.States(),
		"ICEServerReason": relay.Reasons(),

		"EventReason": slices.Compact(events),
	}
}

// surfaces lists the kinds of memory of graphics cards.
func surfaces() []string {
	return words(slices.DeleteFunc(capture.Kinds(), func(k capture.Kind) bool { return k == capture.Memory }))
}

// failures lists the kinds of reasons for which an encoder is not usable.
func failures() (list []string) {
	for _, f := range encode.Failures() {
		list = append(list, string(f))
	}
	return list
}

// codecs lists the codecs of the formats.
func codecs() (list []string) {
	for _, f := range encode.Formats() {
		if !slices.Contains(list, f.Codec) {
			list = append(list, f.Codec)
		}
	}
	return list
}
