package session

import (
	"fmt"
	"slices"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/relay"
)

// Sets returns the closed sets of words in what the control API shows, by the names that the fields' `set` tags have.
func Sets() map[string][]string {
	quality, reasons := words(adapt.States()), words(adapt.Reasons())
	events := slices.Concat(words(EndReasons()), reasons, fallbackReasons, words(DrainPolicies()),
		[]string{rungFaster, rungSlower, rungDisplay, troubleDisplay, troubleEncoder},
		lostReasons, undeliveredReasons, leaseEnds, refusedReasons, controlReasons, channelRefusals, handshakeResults, configOutcomes, Resources(), relay.Reasons())
	slices.Sort(events)
	return map[string][]string{
		"Credential":    Credentials(),
		"SessionState":  {stateConnecting, stateConnected, stateDisconnected},
		"DisplayState":  {stageIdle, stageLive, stageLost, DisplaySlow, DisplayUnusable},
		"HostState":     HostStates(),
		"DrainPolicy":   words(DrainPolicies()),
		"Resource":      Resources(),
		"Role":          words(Roles()),
		"Path":          {pathDirect, pathRelay},
		"Protocol":      {protocolUDP, protocolTCP},
		"Codec":         encode.Codecs(),
		"Quality":       quality,
		"QualityReason": reasons,
		"EncoderPrice":  words([]encode.Price{encode.PriceFree, encode.PriceKeyframe, encode.PriceReopen}),
		"Ceiling":       ceilingOwners,
		"EventKind":     words(EventKinds()),

		"UndeliveredReason": undeliveredReasons,

		"ICEServerState":  relay.States(),
		"ICEServerReason": relay.Reasons(),

		"EventReason": slices.Compact(events),
	}
}

func words[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}
