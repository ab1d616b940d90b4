package client

import "strings"

// relICEServer is the relation of the links that name ICE servers.
const relICEServer = "ice-server"

// iceServers reads the ICE servers of Link headers (RFC 8288, draft-ietf-wish-whep section 4.4). It leaves out links
// with another relation, and the rest of a header that is not valid.
func iceServers(headers []string) (list []ICEServer) {
	for _, text := range headers {
		for text != "" {
			var (
				one ICEServer
				rel string
			)
			text = strings.TrimLeft(text, " \t,")
			address, rest, ok := strings.Cut(text, ">")
			if !ok || !strings.HasPrefix(address, "<") {
				break
			}
			one.URLs, text = []string{address[1:]}, rest
			for {
				name, value, rest, ok := linkParam(text)
				if !ok {
					break
				}
				switch text = rest; strings.ToLower(name) {
				case "rel":
					rel = value
				case "username":
					one.Username = value
				case "credential":
					one.Credential = value
				}
			}
			if rel == relICEServer {
				list = append(list, one)
			}
		}
	}
	return list
}

// linkParam reads one parameter, with the semicolon before it, and returns the rest of the text.
func linkParam(text string) (name, value, rest string, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimLeft(text, " \t"), ";")
	if !ok {
		return "", "", "", false
	}
	text = strings.TrimLeft(text, " \t")
	end := strings.IndexAny(text, "=;,")
	if end < 0 || text[end] != '=' { // a parameter without a value
		if end < 0 {
			end = len(text)
		}
		return strings.TrimSpace(text[:end]), "", text[end:], end > 0
	}
	name, text = strings.TrimSpace(text[:end]), strings.TrimLeft(text[end+1:], " \t")
	if !strings.HasPrefix(text, `"`) {
		end = strings.IndexAny(text, ";,")
		if end < 0 {
			end = len(text)
		}
		return name, strings.TrimSpace(text[:end]), text[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return name, b.String(), text[i+1:], true
		case '\\':
			if i++; i < len(text) {
				_ = b.WriteByte(text[i])
			}
		default:
			_ = b.WriteByte(text[i])
		}
	}
	return "", "", "", false // the quotation does not end
}
