package peertest

import (
	"errors"
	"strings"

	"github.com/pion/sdp/v3"
)

// Trickle returns a fragment with candidates, without credentials.
func Trickle(candidates ...string) string {
	return "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" + lines("candidate", candidates) + "a=end-of-candidates\r\n"
}

func lines(name string, values []string) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteString("a=" + name + ":" + v + "\r\n")
	}
	return b.String()
}

// fragmentOf returns the ICE part of a description as a fragment.
func fragmentOf(d *sdp.SessionDescription) string {
	var head, body strings.Builder
	for _, a := range d.Attributes {
		if a.Key == "ice-ufrag" || a.Key == "ice-pwd" {
			head.WriteString("a=" + a.Key + ":" + a.Value + "\r\n")
		}
	}
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		body.WriteString("m=" + m.MediaName.String() + "\r\n")
		for _, a := range m.Attributes {
			switch a.Key {
			case "ice-ufrag", "ice-pwd":
				head.WriteString("a=" + a.Key + ":" + a.Value + "\r\n")
			case "mid", "candidate":
				body.WriteString("a=" + a.Key + ":" + a.Value + "\r\n")
			case "end-of-candidates":
				body.WriteString("a=" + a.Key + "\r\n")
			}
		}
		break
	}
	return head.String() + body.String()
}

// apply replaces the credentials and candidates of an answer by a fragment's.
func apply(d *sdp.SessionDescription, fragment string) error {
	credentials := make(map[string]string)
	var candidates []sdp.Attribute
	for line := range strings.SplitSeq(fragment, "\r\n") {
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "a="), ":")
		switch name {
		case "ice-ufrag", "ice-pwd":
			credentials[name] = value
		case "candidate":
			candidates = append(candidates, sdp.NewAttribute(name, value))
		}
	}
	if credentials["ice-ufrag"] == "" || credentials["ice-pwd"] == "" || len(candidates) == 0 {
		return errors.New("the fragment has no new credentials and candidates:\n" + fragment)
	}
	d.Origin.SessionVersion++
	changed := false
	replace := func(old []sdp.Attribute) (list []sdp.Attribute) {
		for _, a := range old {
			if a.Key == "candidate" || a.Key == "end-of-candidates" {
				continue
			}
			if value, ok := credentials[a.Key]; ok {
				changed = changed || value != a.Value
				a.Value = value
			}
			list = append(list, a)
		}
		return list
	}
	d.Attributes = replace(d.Attributes)
	placed := false
	for _, m := range d.MediaDescriptions {
		m.Attributes = replace(m.Attributes)
		if !placed && m.MediaName.Port.Value != 0 {
			m.Attributes = append(m.Attributes, candidates...)
			placed = true
		}
	}
	if !changed {
		return errors.New("the fragment has the old credentials")
	}
	return nil
}
