package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"wavryhost/cmd/wavry-host/config"

	"github.com/alecthomas/kong"
)

// app is the environment of commands.
type app struct {
	args, env      []string
	stdout, stderr io.Writer
}

// variable returns an environment variable.
func (a *app) variable(name string) string {
	for _, e := range slices.Backward(a.env) { // the last one counts, as for exec
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// cli is the grammar of the command line.
type cli struct {
	Help helpFlag `short:"h" help:"Show this help."`

	Run          runCmd          `cmd:"" help:"Stream this machine's displays (the default)."`
	Config       configCmd       `cmd:"" help:"Check, show, describe or migrate the configuration."`
	Status       statusOfHostCmd `cmd:"" help:"Show the state of the running daemon."`
	Sessions     sessionsCmd     `cmd:"" help:"List the sessions of the running daemon."`
	Drain        drainCmd        `cmd:"" help:"Refuse new sessions, and move or end the others."`
	Cordon       cordonCmd       `cmd:"" help:"Refuse new sessions, and leave the others alone."`
	Uncordon     uncordonCmd     `cmd:"" help:"Accept new sessions again."`
	Events       eventsCmd       `cmd:"" help:"Follow the events of the running daemon."`
	Fleet        fleetCmd        `cmd:"" help:"Show and steer the hosts of a fleet, through NATS."`
	Desktop      desktopCmd      `cmd:"" help:"Show or end the virtual display, which outlives the daemon."`
	Displays     displaysCmd     `cmd:"" help:"List the displays that can be captured, and why others cannot."`
	Encoders     encodersCmd     `cmd:"" help:"Try the encoders, and say why some cannot be used."`
	Verify       verifyCmd       `cmd:"" name:"verify-encoders" help:"Check each encoder at length, and write a report."`
	Simulate     simulateCmd     `cmd:"" help:"Run the rate control over simulated networks, and judge it."`
	Lab          labCmd          `cmd:"" help:"Try the daemon with a browser over networks with delay, loss and queues, and write a report. Requires root, Chromium and Linux."` //nolint:lll // a struct tag is one line
	Replay       replayCmd       `cmd:"" help:"Run the flight recording of a session through the rate control again."`
	Service      serviceCmd      `cmd:"" help:"Install, remove or inspect the service of this system."`
	Token        tokenCmd        `cmd:"" help:"Make a token for the file of tokens (auth.tokens_file)."`
	Upgrade      upgradeCmd      `cmd:"" help:"Restart the daemon into an installed update, once no session is left."`
	Compare      compareCmd      `cmd:"" help:"Compare a new version on some hosts with the present one, by metrics."`
	URL          urlCmd          `cmd:"" name:"url" help:"Print the viewer's address with the operator's token."`
	Doctor       doctorCmd       `cmd:"" help:"Check this host and the daemon, and say what repairs each fault."`
	Bundle       bundleCmd       `cmd:"" help:"Collect what support needs into one file: log, events, metrics, recordings, configuration. Secrets are removed."` //nolint:lll // a struct tag is one line
	Completion   completionCmd   `cmd:"" help:"Print the completion script of a shell."`
	Man          manCmd          `cmd:"" help:"Print a manual page, in the form of man."`
	VerifyFile   verifyFileCmd   `cmd:"" name:"verify" help:"Check the signatures of files of a release."`
	Version      versionCmd      `cmd:"" help:"Show the version."`
	VerifyOne    verifyOneCmd    `cmd:"" name:"verify-encoder" hidden:"" help:"Check one encoder and print the result."`
	ProveEncoder proveCmd        `cmd:"" hidden:"" help:"Try one encoder and print the proof."`
	KMSHelper    kmsHelperCmd    `cmd:"" name:"kms-helper" hidden:"" help:"Pass pictures of graphics cards to the daemon."`
}

// withCommand returns args with "run" inserted where no command is named.
func withCommand(args []string) []string {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") && args[0] != "-h" && args[0] != "--help" {
		return append([]string{"run"}, args...)
	}
	return args
}

// helpFlag prints help as soon as it is parsed.
type helpFlag bool

// BeforeReset is called by kong before it checks the command line for completeness.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelp
}

func newParser(grammar *cli, a *app) (*kong.Kong, error) {
	for _, s := range []*settingFlags{
		&grammar.Run.Settings, &grammar.Config.Check.Settings, &grammar.Config.Print.Settings,
		&grammar.Displays.Settings, &grammar.Encoders.Settings, &grammar.URL.Settings, &grammar.Doctor.Settings,
		&grammar.Bundle.Settings, &grammar.Fleet.ID.Settings,
	} {
		s.Table = kong.Plugins{newTable()}
	}
	return kong.New(
		grammar,
		kong.Name("wavry-host"),
		kong.Description(
			"Captures this machine's displays and streams them to browsers over WebRTC. Settings come from a file, "+
				"then from variables (WAVRY_HOST_DISPLAYS__FPS=30), then from flags (--fps=30); later ones "+
				"override earlier "+
				"ones. The commonest settings have flags; \"config schema\" has them all.",
		),
		kong.NoDefaultHelp(),
		kong.Writers(a.stdout, a.stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(help),
	)
}

// help prints kong's help and the exit codes below it.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	if ctx.Selected() != nil {
		return nil
	}
	var b strings.Builder
	b.WriteString("\nExit codes:\n")
	for _, e := range exits() {
		fmt.Fprintf(&b, "  %-4d%s\n", e.code, e.meaning)
	}
	_, err := io.WriteString(ctx.Stdout, b.String())
	return err
}

// settingFlags are the flags of commands that read the configuration.
type settingFlags struct {
	Config string `placeholder:"FILE" help:"Configuration file. Default: /etc/wavry-host/config.yaml, if it exists. Files in conf.d beside it override it."` //nolint:lll // a struct tag is one line
	// Table holds a structure with one field per setting that has a flag, made by newTable.
	Table kong.Plugins `embed:""`
}

// flagged lists the settings that have flags.
func flagged() []config.Setting {
	return slices.DeleteFunc(config.Settings(), func(s config.Setting) bool { return s.Flag() == "" })
}

// newTable returns a pointer to a structure with one field per flag: kong reads its grammar from structures. Fields
// are pointers, nil for flags that were not given.
func newTable() any {
	var fields []reflect.StructField
	for i, s := range flagged() {
		tag := fmt.Sprintf("name:%q placeholder:%q "+
			"help:%s", strings.TrimPrefix(s.Flag(), "--"), strings.ToUpper(s.Type),
			strconv.Quote(s.Help()+" Sets "+s.Name+"."))
		fields = append(fields, reflect.StructField{
			Name: "F" + strconv.Itoa(i), Type: reflect.TypeFor[*string](), Tag: reflect.StructTag(tag),
		})
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

// sources returns the sources of the configuration.
func (f settingFlags) sources(a *app) config.Sources {
	return config.Sources{
		Path: f.Config, Fallback: config.DefaultPath, Env: a.env, Flags: f.values(), Check: conflicts,
	}
}

// values returns the values of the given flags, by setting.
func (f settingFlags) values() map[string]string {
	given := make(map[string]string)
	for _, table := range f.Table {
		v := reflect.ValueOf(table).Elem()
		for i, s := range flagged() {
			if p, ok := reflect.TypeAssert[*string](v.Field(i)); ok && p != nil {
				given[s.Name] = *p
			}
		}
	}
	return given
}

// load reads the configuration.
func (f settingFlags) load(a *app) (*loaded, error) {
	l, err := config.Load(f.sources(a))
	if err != nil {
		return nil, err
	}
	return &loaded{Loaded: l}, nil
}

// loaded is a configuration that the daemon can use.
type loaded struct {
	*config.Loaded
	// own is the daemon's own token, which is valid as long as no credential is configured. It is empty until
	// ownTokens.provide.
	own ownToken
}
