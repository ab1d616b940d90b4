package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// errNot is the error of a parser for values that the table of settings does not allow.
var errNot = errors.New("not allowed")

// kind is a type of settings: how their values are read and written.
type kind[T any] struct {
	word   string   // its name for people
	tags   []string // the YAML types it is written as
	parse  func(text string) (T, error)
	format func(T) string
}

const (
	tagText = "!!str"
	tagInt  = "!!int"
	tagBool = "!!bool"
)

// text is text that ok accepts. If none is set, empty text is allowed too.
func text(word string, none bool, ok func(string) bool) kind[string] {
	return kind[string]{
		word: word, tags: []string{tagText}, format: func(s string) string { return s },
		parse: func(s string) (string, error) {
			if s == "" && none {
				return "", nil
			}
			if s == "" || !ok(s) {
				return "", errNot
			}
			return s, nil
		},
	}
}

func hostPort() kind[string] {
	return text("address", false, func(s string) bool {
		_, port, err := net.SplitHostPort(s)
		if err != nil || strings.ContainsFunc(s, unicode.IsSpace) {
			return false
		}
		_, err = strconv.ParseUint(port, 10, 16)
		return err == nil
	})
}

func path() kind[string] {
	return text("path", true, func(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) })
}

// displayID is an ID of a display. X displays have the name that DISPLAY has, including host and screen.
var displayID = regexp.MustCompile(
	`^(auto|virtual|synthetic|x11[A-Za-z0-9.-]*:[0-9]{1,5}(\.[0-9]{1,2})?|screenshot:[0-9]{1,2})$`,
)

func isDisplay(s string) bool { return displayID.MatchString(s) }

func isWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// isNetwork reports whether s is a network, such as 192.0.2.0/24.
func isNetwork(s string) bool {
	_, err := netip.ParsePrefix(s)
	return err == nil
}

// isAddressOrNetwork reports whether s names one machine or a network of them.
func isAddressOrNetwork(s string) bool { return isAddress(s) || isNetwork(s) }

func oneOf(values ...string) kind[string] {
	k := text("word", false, func(s string) bool { return slices.Contains(values, s) })
	at := slices.IndexFunc(values, func(v string) bool { return v == "off" || v == "none" })
	if at < 0 {
		return k
	}
	// Tools for YAML 1.1, such as Ansible, turn off into a boolean.
	k.tags = append(k.tags, tagBool)
	plain := k.parse
	k.parse = func(s string) (string, error) {
		if slices.Contains([]string{"off", "no", "false"}, strings.ToLower(s)) {
			s = values[at]
		}
		return plain(s)
	}
	return k
}

func boolean() kind[bool] {
	return kind[bool]{
		word: "boolean", tags: []string{tagBool}, format: strconv.FormatBool,
		parse: func(s string) (bool, error) {
			switch s {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
			return false, errNot
		},
	}
}

func count(most int) kind[int] {
	return kind[int]{
		word: "number", tags: []string{tagInt}, format: strconv.Itoa,
		parse: func(s string) (int, error) {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 || n > most {
				return 0, errNot
			}
			return n, nil
		},
	}
}

// number is a whole number that may be 0.
func number(most int) kind[int] {
	k := count(most)
	parse := k.parse
	k.parse = func(s string) (int, error) {
		if s == "0" {
			return 0, nil
		}
		return parse(s)
	}
	return k
}

func duration(least, most time.Duration) kind[time.Duration] {
	return kind[time.Duration]{
		word: "duration", tags: []string{tagText}, format: formatDuration,
		parse: func(s string) (time.Duration, error) {
			d, err := time.ParseDuration(s)
			if err != nil || d < least || d > most {
				return 0, errNot
			}
			return d, nil
		},
	}
}

// formatDuration omits the zeros at the end of String.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// highestBitrate is the upper limit of all settings, in bits per second.
const highestBitrate = 1000e6

// bitrate is a number of bits per second with an optional k or M.
func bitrate(least int) kind[int] { return bitrateUpTo(least, highestBitrate) }

// highestUplink is the uplink of a host with 100 Gbit/s.
const highestUplink = 100_000e6

// uplink is the maximum bitrate that a host sends; 0 is no limit.
func uplink() kind[int] { return bitrateUpTo(0, highestUplink) }

func bitrateUpTo(least int, highest float64) kind[int] {
	return kind[int]{
		word: "bitrate", tags: []string{tagInt, tagText}, format: formatBitrate,
		parse: func(s string) (int, error) {
			digits, unit := s, 1.0
			switch {
			case strings.HasSuffix(s, "k"):
				digits, unit = s[:len(s)-1], 1e3
			case strings.HasSuffix(s, "M"):
				digits, unit = s[:len(s)-1], 1e6
			}
			if strings.Trim(digits, "0123456789.") != "" { // no exponents, signs or infinities
				return 0, errNot
			}
			n, err := strconv.ParseFloat(digits, 64)
			if err != nil || n*unit < float64(least) || n*unit > highest {
				return 0, errNot
			}
			return int(n*unit + 0.5), nil
		},
	}
}

func formatBitrate(n int) string {
	switch {
	case n >= 1e6 && n%1e5 == 0:
		return strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) + "M"
	case n >= 1e3 && n%100 == 0:
		return strconv.FormatFloat(float64(n)/1e3, 'f', -1, 64) + "k"
	default:
		return strconv.Itoa(n)
	}
}

func pixels() kind[Size] {
	return kind[Size]{
		word: "size", tags: []string{tagText}, format: Size.String,
		parse: func(s string) (Size, error) {
			w, h, ok := strings.Cut(s, "x")
			width, err1 := strconv.Atoi(w)
			height, err2 := strconv.Atoi(h)
			side := func(n, least int) bool { return n >= least && n <= 8192 && n%2 == 0 }
			// A smaller test pattern has no room for its time code.
			if !ok || err1 != nil || err2 != nil || !side(width, 96) || !side(height, 108) {
				return Size{}, errNot
			}
			return Size{width, height}, nil
		},
	}
}

func ports() kind[PortRange] {
	return kind[PortRange]{
		word: "range", tags: []string{tagText}, format: PortRange.String,
		parse: func(s string) (PortRange, error) {
			if s == "" {
				return PortRange{}, nil
			}
			from, to, ok := strings.Cut(s, "-")
			least, err1 := strconv.ParseUint(from, 10, 16)
			most, err2 := strconv.ParseUint(to, 10, 16)
			if !ok || err1 != nil || err2 != nil || least < 1024 || most < least {
				return PortRange{}, errNot
			}
			return PortRange{uint16(least), uint16(most)}, nil
		},
	}
}

// minToken excludes tokens that can be guessed over the network in a lifetime.
const minToken = 16

func token() kind[Secret] {
	return kind[Secret]{
		word: "secret", tags: []string{tagText}, format: Secret.String,
		parse: func(s string) (Secret, error) {
			if s == "" {
				return "", nil
			}
			if len(s) < minToken || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
				return "", errNot
			}
			return Secret(s), nil
		},
	}
}

// ParseToken returns the token that text is, and whether it is one.
func ParseToken(text string) (t Secret, ok bool) {
	t, err := token().parse(text)
	return t, err == nil && t != ""
}

func isAddress(s string) bool { return net.ParseIP(s) != nil }

func isOrigin(s string) bool {
	if s == "*" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host == s
}

func isHost(s string) bool { return isWord(s) && !strings.ContainsAny(s, "/:*") }

// target is where the value of a setting is stored.
type target interface {
	// set reads the value from text, as in flags and the environment.
	set(text string) *trouble
	// decode reads it from a file.
	decode(n *yaml.Node) []trouble
	// encode returns it as in a file, with secrets masked.
	encode() *yaml.Node
	// value is the current value, for comparison.
	value() any
}

// trouble is a refused value.
type trouble struct {
	at    *yaml.Node // where in the file, nil elsewhere
	in    string     // where in the value, as "[1].urls[0]"
	value string     // the value
	why   string     // if empty: it is not among the allowed values
}

var (
	_ target = scalar[string]{}
	_ target = list{}
	_ target = servers{}
)

// scalar is a single value.
type scalar[T any] struct {
	kind[T]
	p *T
}

func (s scalar[T]) set(text string) *trouble {
	v, err := s.parse(text)
	if err != nil {
		return &trouble{value: strconv.Quote(text)}
	}
	*s.p = v
	return nil
}

func (s scalar[T]) decode(n *yaml.Node) []trouble {
	if t := checkScalar(n, s.tags...); t != nil {
		return []trouble{*t}
	}
	if t := s.set(n.Value); t != nil {
		t.at, t.value = n, show(n)
		return []trouble{*t}
	}
	return nil
}

func (s scalar[T]) value() any { return *s.p }

func (s scalar[T]) encode() *yaml.Node {
	text, tag := s.format(*s.p), s.tags[0]
	if tag == tagInt && strings.Trim(text, "0123456789") != "" {
		tag = tagText // a bitrate with a unit
	}
	return textNode(text, tag)
}

// list is a list of texts.
type list struct {
	p  *[]string
	ok func(string) bool
}

func (l list) set(text string) *trouble {
	var values []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			if strings.TrimSpace(text) == "" {
				break
			}
			return &trouble{value: strconv.Quote(text), why: "has an empty element"}
		}
		if !l.ok(part) {
			return &trouble{in: index(len(values)), value: strconv.Quote(part)}
		}
		values = append(values, part)
	}
	*l.p = values
	return nil
}

func (l list) decode(n *yaml.Node) []trouble {
	if n.Kind != yaml.SequenceNode {
		return []trouble{{at: n, value: show(n)}}
	}
	var (
		values []string
		found  []trouble
	)
	for i, e := range n.Content {
		if t := checkScalar(e, tagText); t != nil {
			t.in = index(i)
			found = append(found, *t)
			continue
		}
		if !l.ok(e.Value) {
			found = append(found, trouble{at: e, in: index(i), value: show(e)})
			continue
		}
		values = append(values, e.Value)
	}
	*l.p = values
	return found
}

func (l list) value() any { return *l.p }

func (l list) encode() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range *l.p {
		n.Content = append(n.Content, textNode(v, tagText))
	}
	return n
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// between is a whole number with lower and upper bounds.
func between(least, most int) kind[int] {
	k := count(most)
	parse := k.parse
	k.parse = func(s string) (int, error) {
		n, err := parse(s)
		if err == nil && n < least {
			err = errNot
		}
		return n, err
	}
	return k
}
