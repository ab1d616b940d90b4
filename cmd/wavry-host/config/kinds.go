package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// errNot is the error of a parser for values that its kind does not allow.
var errNot = errors.New("not allowed")

// kind is a type of settings: how their values are read, written and described.
type kind[T any] struct {
	word string // its name for people
	// allowed describes the allowed values, to be read after "is not".
	allowed string
	tags    []string // the YAML types it is written as
	literal string   // a word that it may be instead, whatever its types
	parse   func(text string) (T, error)
	format  func(T) string
	// schema is its JSON Schema.
	schema map[string]any
}

const (
	tagText = "!!str"
	tagInt  = "!!int"
	tagBool = "!!bool"
)

// text is text that ok accepts. It is never empty.
func text(word, allowed string, ok func(string) bool) kind[string] {
	return kind[string]{
		word: word, allowed: allowed, tags: []string{tagText}, format: func(s string) string { return s },
		schema: map[string]any{"type": "string", "minLength": 1},
		parse: func(s string) (string, error) {
			if s == "" || !ok(s) {
				return "", errNot
			}
			return s, nil
		},
	}
}

// or is k with a word for the zero value of its type.
func or[T comparable](word string, k kind[T]) kind[T] {
	var zero T
	parse, format := k.parse, k.format
	k.allowed += ", or " + word
	k.schema = map[string]any{"anyOf": []any{map[string]any{"const": word}, k.schema}}
	k.literal = word
	k.parse = func(s string) (T, error) {
		if s == word || word == None && isFalse(s) {
			return zero, nil
		}
		v, err := parse(s)
		if err == nil && v == zero { // only the word means it
			err = errNot
		}
		return v, err
	}
	k.format = func(v T) string {
		if v == zero {
			return word
		}
		return format(v)
	}
	return k
}

// oneOf is one of some words.
func oneOf(values ...string) kind[string] {
	allowed := values[len(values)-1]
	if len(values) > 1 {
		allowed = strings.Join(values[:len(values)-1], ", ") + " or " + allowed
	}
	k := text("word", allowed, func(s string) bool { return slices.Contains(values, s) })
	k.schema = map[string]any{"enum": values}
	if !slices.Contains(values, None) {
		return k
	}
	k.tags = append(k.tags, tagBool)
	plain := k.parse
	k.parse = func(s string) (string, error) {
		if isFalse(s) {
			s = None
		}
		return plain(s)
	}
	return k
}

// isFalse reports whether s is a false boolean of YAML 1.1, which tools such as Ansible write. They turn a bare off
// into one.
func isFalse(s string) bool {
	return slices.Contains([]string{"false", "off", "no"}, strings.ToLower(s))
}

// isTrue reports whether s is a true boolean of YAML 1.1.
func isTrue(s string) bool { return slices.Contains([]string{"true", "on", "yes"}, strings.ToLower(s)) }

func boolean() kind[bool] {
	return kind[bool]{
		word: "boolean", allowed: "true or false", tags: []string{tagBool, tagText}, format: strconv.FormatBool,
		schema: map[string]any{"type": "boolean"},
		parse: func(s string) (bool, error) {
			if !isTrue(s) && !isFalse(s) {
				return false, errNot
			}
			return isTrue(s), nil
		},
	}
}

// number is a whole number.
func number(least, most int) kind[int] {
	return kind[int]{
		word: "number", allowed: fmt.Sprintf("a whole number from %d to %d", least, most),
		tags: []string{tagInt}, format: strconv.Itoa,
		schema: map[string]any{"type": "integer", "minimum": least, "maximum": most},
		parse: func(s string) (int, error) {
			n, err := strconv.Atoi(s)
			if err != nil || n < least || n > most {
				return 0, errNot
			}
			return n, nil
		},
	}
}

// perSecond is a rate of requests.
func perSecond(least, most int) kind[int] {
	k := number(least, most)
	plain := k.parse
	k.word, k.allowed = "rate", fmt.Sprintf("a rate from %d/s to %d/s", least, most)
	k.tags = []string{tagText}
	k.schema = map[string]any{"type": "string", "pattern": `^[0-9]+/s$`}
	k.format = func(n int) string { return strconv.Itoa(n) + "/s" }
	k.parse = func(s string) (int, error) {
		digits, ok := strings.CutSuffix(s, "/s")
		if !ok {
			return 0, errNot
		}
		return plain(digits)
	}
	return k
}

func duration(least, most time.Duration) kind[time.Duration] {
	return kind[time.Duration]{
		word: "duration", allowed: "a duration from " + formatDuration(least) + " to " + formatDuration(most),
		tags: []string{tagText}, format: formatDuration,
		schema: map[string]any{"type": "string", "pattern": `^\+?([0-9.]+(ns|us|µs|μs|ms|s|m|h))+$`},
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

const (
	lowestBitrate  = 10e3
	highestBitrate = 1e9   // of a viewer
	highestUplink  = 100e9 // of a host with 100 Gbit/s
)

// bitrate is a number of bits per second with an optional k, M or G.
func bitrate(least, most int) kind[int] {
	return kind[int]{
		word:    "bitrate",
		allowed: fmt.Sprintf("a bitrate from %s to %s, such as 500k or 4M", formatBitrate(least), formatBitrate(most)),
		tags:    []string{tagInt, tagText}, format: formatBitrate,
		schema: map[string]any{
			"type": []string{"integer", "string"}, "pattern": `^[0-9.]+[kMG]?$`, "minimum": least, "maximum": most,
		},
		parse: func(s string) (int, error) {
			digits, unit := s, 1.0
			for suffix, factor := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
				if number, ok := strings.CutSuffix(s, suffix); ok {
					digits, unit = number, factor
				}
			}
			if strings.Trim(digits, "0123456789.") != "" { // no exponents, signs or infinities
				return 0, errNot
			}
			n, err := strconv.ParseFloat(digits, 64)
			if n = math.Round(n * unit); err != nil || n < float64(least) || n > float64(most) {
				return 0, errNot
			}
			return int(n), nil
		},
	}
}

func formatBitrate(n int) string {
	for _, u := range []struct {
		suffix string
		factor int
	}{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if n >= u.factor && n%(u.factor/10) == 0 {
			return strconv.FormatFloat(float64(n)/float64(u.factor), 'f', -1, 64) + u.suffix
		}
	}
	return strconv.Itoa(n)
}

func pixels() kind[Size] {
	return kind[Size]{
		word: "size", allowed: "WIDTHxHEIGHT, both even, from 96x108 to 8192x8192", tags: []string{tagText},
		format: Size.String, schema: map[string]any{"type": "string", "pattern": `^\+?[0-9]+x\+?[0-9]+$`},
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
		word: "range", allowed: "FROM-TO, from 1024 to 65535, such as 50000-50100", tags: []string{tagText},
		format: PortRange.String, schema: map[string]any{"type": "string", "pattern": `^[0-9]+-[0-9]+$`},
		parse: func(s string) (PortRange, error) {
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
	return secretText("text of 16 or more printable ASCII characters without spaces", func(s string) bool {
		return len(s) >= minToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
	})
}

func secretText(allowed string, ok func(string) bool) kind[Secret] {
	k := text("secret", allowed, func(s string) bool { return s != mask && ok(s) })
	return kind[Secret]{
		word: k.word, allowed: allowed, tags: k.tags, format: Secret.String, schema: k.schema,
		parse: func(s string) (Secret, error) {
			s, err := k.parse(s)
			return Secret(s), err
		},
	}
}

// ParseToken returns the token that text is, and whether it is one.
func ParseToken(text string) (t Secret, ok bool) {
	t, err := token().parse(text)
	return t, err == nil
}

func hostPort() kind[string] {
	return text("address", "host:port, such as 127.0.0.1:8470", func(s string) bool {
		_, port, err := net.SplitHostPort(s)
		if err != nil || strings.ContainsFunc(s, unicode.IsSpace) {
			return false
		}
		_, err = strconv.ParseUint(port, 10, 16)
		return err == nil
	})
}

func path() kind[string] {
	return text("path", "a path", func(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) })
}

func word(allowed string) kind[string] { return text("name", allowed, isWord) }

func role() kind[string] { return oneOf(Roles()...) }

// displayID is an ID of a display. X displays have the name that DISPLAY has, including host and screen. The name of a
// monitor may follow.
var displayID = regexp.MustCompile(
	`^(auto|virtual(:[a-z0-9-]{1,36})?|synthetic(:(scroll|full|busy|still))?|` +
		`x11[A-Za-z0-9.-]*:[0-9]{1,5}(\.[0-9]{1,2})?(@[A-Za-z0-9._-]{1,48})?|` +
		`(wayland|pipewire):[A-Za-z0-9._-]{1,48}@[A-Za-z0-9._-]{1,48}|pipewire:portal|` +
		`kms:[A-Za-z0-9._:-]{1,48}@[A-Za-z0-9._-]{1,48}|darwin:[0-9A-F-]{36}|screenshot:[0-9]{1,2})$`,
)

func isDisplay(s string) bool { return displayID.MatchString(s) }

// isPattern reports whether s can name displays: an ID, or a pattern in which * stands for any text and ? for one
// character.
func isPattern(s string) bool {
	_, err := filepath.Match(s, "")
	return err == nil && s != "" && isWord(s) && !strings.ContainsAny(s, `/\`)
}

// isCertificatePattern reports whether s can name certificates: text with at most one *.
func isCertificatePattern(s string) bool { return isPrintable(s) && strings.Count(s, "*") < 2 }

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// label is a label of the host.
var label = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]{0,62}=[A-Za-z0-9._/-]{0,128}$`)

func isLabel(s string) bool { return label.MatchString(s) }

// isLabelName reports whether s is the name of a label.
func isLabelName(s string) bool { return label.MatchString(s + "=") }

func isPrintable(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }

func isAddress(s string) bool { return net.ParseIP(s) != nil }

// isNetwork reports whether s is a network, such as 192.0.2.0/24.
func isNetwork(s string) bool {
	_, err := netip.ParsePrefix(s)
	return err == nil
}

// isAddressOrNetwork reports whether s names one machine or a network of them.
func isAddressOrNetwork(s string) bool { return isAddress(s) || isNetwork(s) }

func isOrigin(s string) bool { return s == "*" || isOwnOrigin(s) }

func isOwnOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host == s
}

func isHost(s string) bool { return isWord(s) && !strings.ContainsAny(s, "/:*") }
