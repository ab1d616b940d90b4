package service

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed unit.tmpl
var unitText string

// Unit returns the systemd unit of s.
func Unit(s Spec) (string, error) {
	if err := s.Validate(); err != nil {
		return "", err
	}
	s = s.WithDefaults()
	tmpl, err := template.New("unit").Parse(unitText)
	if err != nil {
		return "", err
	}
	words := make([]string, 0, 4)
	for _, a := range s.args() {
		words = append(words, quoteUnit(a))
	}
	check := slices.Concat(words[:1], []string{"config", "check", "--deep"}, words[2:]) // the same settings
	var b strings.Builder
	err = tmpl.Execute(&b, struct {
		Spec
		Exec, Check                  string
		WatchdogSeconds, StopSeconds int
		ExitUsage, ExitConfig        int
	}{
		s, strings.Join(words, " "), strings.Join(check, " "),
		int(s.Watchdog.Seconds()), int(s.StopTimeout.Seconds()), ExitUsage, ExitConfig,
	})
	return b.String(), err
}

// quoteUnit quotes a word of a command line in a unit. % and $ are expanded there; quotes and spaces separate words
// (systemd.service(5), systemd.syntax(7)).
func quoteUnit(word string) string {
	word = strings.ReplaceAll(word, "%", "%%")
	word = strings.ReplaceAll(word, "$", "$$")
	if strings.ContainsAny(word, " \\\"';") {
		return strconv.Quote(word)
	}
	return word
}

// sysusers returns the sysusers.d drop-in for the daemon's user, a member of the groups that own GPU nodes. It makes
// missing groups too, so that the service starts on a host without udev's groups.
func sysusers(s Spec) string {
	s = s.WithDefaults()
	return "# The user that " + s.Name + " runs as. Membership of render and video opens the GPU's nodes.\n" +
		"u " + s.User + " - \"Desktop streaming daemon\" /var/lib/" + s.Name + " /usr/sbin/nologin\n" +
		"m " + s.User + " render\n" +
		"m " + s.User + " video\n"
}
