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

//go:embed desktop.tmpl
var desktopText string

//go:embed desktopsocket.tmpl
var desktopSocketText string

//go:embed kms.tmpl
var kmsText string

//go:embed kmssocket.tmpl
var kmsSocketText string

// Unit returns the systemd unit of s.
func Unit(s Spec) (string, error) { return render(s, unitText) }

// DesktopUnit returns the systemd unit of the virtual display. It is apart from the daemon's, so that the display
// outlives the daemon.
func DesktopUnit(s Spec) (string, error) { return render(s, desktopText) }

// DesktopSocket returns the systemd socket unit that starts the virtual display when the daemon attaches to it.
func DesktopSocket(s Spec) (string, error) { return render(s, desktopSocketText) }

// KMSUnit returns the systemd unit of the helper for graphics cards.
func KMSUnit(s Spec) (string, error) { return render(s, kmsText) }

// KMSSocket returns the systemd socket unit that starts the helper for graphics cards. An operator switches it on.
func KMSSocket(s Spec) (string, error) { return render(s, kmsSocketText) }

func render(s Spec, text string) (string, error) {
	if err := s.Validate(); err != nil {
		return "", err
	}
	s = s.WithDefaults()
	tmpl, err := template.New("unit").Parse(text)
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
		Exec, Check, Desktop, Helper string
		WatchdogSeconds, StopSeconds int
		ExitUsage, ExitConfig        int
	}{
		s, strings.Join(words, " "), strings.Join(check, " "), words[0] + " desktop run",
		words[0] + " kms-helper",
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

// needrestart returns the configuration that keeps needrestart from restarting the desktop, and the daemon under its
// sessions, after an upgrade of a library.
func needrestart(s Spec) string {
	s = s.WithDefaults()
	return "# A restart would end the desktop that people work on; `" + s.Name + " drain` prepares one of the daemon.\n" +
		"$nrconf{override_rc}{qr(^" + s.Name + "(-desktop)?\\.service$)} = 0;\n"
}

// sysusers returns the sysusers.d drop-in for the daemon's user, a member of the groups that own GPU nodes. It makes
// missing groups too, so that the service starts on a host without udev's groups.
func sysusers(s Spec) string {
	s = s.WithDefaults()
	return "# The user that " + s.Name + " runs as. Membership of render and video opens the GPU's nodes.\n" +
		"u " + s.User + " - \"Desktop streaming daemon\" /var/lib/" + s.Name + " /usr/sbin/nologin\n" +
		"m " + s.User + " render\n" +
		"m " + s.User + " video\n" +
		"# The user of the virtual display's programs, which is in no group of the daemon.\n" +
		"u " + s.User + "-desktop - \"Virtual display of " + s.Name + "\" /var/lib/" + s.Name + "-desktop /usr/sbin/nologin\n"
}
