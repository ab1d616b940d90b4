// Package wavryhost_test checks what holds for every package: imports, names, comments, and how it tests in bubbles.
package wavryhost_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms says which packages of ours each package may import. A new package goes in here, or the test fails.
var rooms = map[string][]string{
	"wavryhost":      {},
	"wavryhost/docs": {"session/api/problem"},

	"wavryhost/capture":             {},
	"wavryhost/capture/capturetest": {"capture"},
	"wavryhost/capture/darwin":      {"capture"},
	"wavryhost/capture/kms": {
		"capture", "platform/descriptors", "platform/kms", "platform/kms/drm",
	},
	"wavryhost/capture/pipewire":   {"capture", "platform/screencast"},
	"wavryhost/capture/screenshot": {"capture"},
	"wavryhost/capture/synthetic":  {"capture"},
	"wavryhost/capture/wayland":    {"capture", "platform/wlproto"},
	"wavryhost/capture/x11":        {"capture", "platform/xproto"},

	"wavryhost/encode":            {"capture", "platform/child"},
	"wavryhost/encode/encodetest": {"capture", "encode"},

	"wavryhost/encode/encodetest/scene": {"capture"},
	"wavryhost/encode/ffmpeg":           {"capture", "encode"},

	"wavryhost/encode/ffmpeg/standin": {},

	"wavryhost/adapt": {
		"adapt/encoder", "adapt/hold", "adapt/ladder", "adapt/path", "adapt/probe", "adapt/quality", "adapt/tuning",
	},
	"wavryhost/adapt/encoder":  {"adapt/path", "adapt/tuning"},
	"wavryhost/adapt/hold":     {},
	"wavryhost/adapt/ladder":   {"adapt/hold", "adapt/tuning"},
	"wavryhost/adapt/path":     {"adapt/tuning"},
	"wavryhost/adapt/probe":    {"adapt/path", "adapt/tuning"},
	"wavryhost/adapt/quality":  {"adapt/hold", "adapt/tuning"},
	"wavryhost/adapt/tuning":   {},
	"wavryhost/adapt/chart":    {"adapt"},
	"wavryhost/adapt/pacing":   {},
	"wavryhost/adapt/record":   {"adapt", "adapt/chart"},
	"wavryhost/adapt/simulate": {"adapt", "adapt/chart", "adapt/pacing"},

	"wavryhost/adapt/simulate/rival": {"adapt", "adapt/simulate"},
	"wavryhost/adapt/simulate/sweep": {"adapt/simulate"},

	"wavryhost/platform/child":    {},
	"wavryhost/platform/desktop":  {"platform/child", "platform/display", "platform/guard", "platform/xproto"},
	"wavryhost/platform/display":  {"platform/child", "platform/guard", "platform/xproto"},
	"wavryhost/platform/guard":    {},
	"wavryhost/platform/identity": {},
	"wavryhost/platform/input":    {"platform/screencast", "platform/wlproto", "platform/xproto"},
	"wavryhost/platform/pressure": {"platform/guard"},
	"wavryhost/platform/service":  {"platform/child"},
	"wavryhost/platform/wlproto":  {},
	"wavryhost/platform/xproto":   {},

	"wavryhost/platform/descriptors": {},
	"wavryhost/platform/guesttest":   {},
	"wavryhost/platform/kms":         {"platform/descriptors", "platform/guard", "platform/kms/drm"},
	"wavryhost/platform/kms/drm":     {},
	"wavryhost/platform/kms/kmstest": {"platform/kms", "platform/kms/drm"},

	"wavryhost/platform/wlproto/wlprototest": {},

	"wavryhost/platform/screencast":                {},
	"wavryhost/platform/screencast/screencasttest": {"platform/screencast"},

	"wavryhost/platform/xproto/xprototest": {},

	"wavryhost/session/wire": {
		"adapt", "adapt/pacing", "encode", "platform/guard", "session/enum", "session/progress",
	},
	"wavryhost/session/progress": {},
	"wavryhost/session": {
		"adapt",
		"adapt/pacing",
		"adapt/record",
		"capture",
		"encode",
		"platform/guard",
		"session/admission",
		"session/codec",
		"session/enum",
		"session/floor",
		"session/hoststate",
		"session/lockorder",
		"session/peer",
		"session/pipeline",
		"session/pointer",
		"session/progress",
		"session/relay",
		"session/rift",
		"session/wire",
	},
	"wavryhost/session/peer": {
		"encode",
		"platform/guard",
		"session/relay",
		"session/wire",
	},
	"wavryhost/session/peer/peertest": {},

	"wavryhost/session/floor": {
		"platform/guard", "session/enum", "session/lockorder", "session/peer", "session/rift",
	},
	"wavryhost/session/floor/floortest": {},
	"wavryhost/session/hoststate":       {"session/enum"},

	"wavryhost/session/pipeline": {
		"adapt",
		"capture",
		"encode",
		"platform/guard",
		"session/enum",
		"session/lockorder",
		"session/progress",
	},
	"wavryhost/session/pointer":                 {"capture", "platform/guard"},
	"wavryhost/session/enum":                    {},
	"wavryhost/session/lockorder":               {},
	"wavryhost/session/lockorder/lockordertest": {"session/lockorder"},
	"wavryhost/session/logtest":                 {},
	"wavryhost/session/rift":                    {"session/enum"},
	"wavryhost/session/admission":               {"encode", "session/enum"},
	"wavryhost/session/codec":                   {"adapt", "encode"},
	"wavryhost/session/relay":                   {"platform/guard"},
	"wavryhost/session/outbox":                  {"platform/guard", "session", "session/api/durable"},
	"wavryhost/session/tracing":                 {"session"},
	"wavryhost/session/webhook":                 {"platform/guard", "session", "session/outbox"},
	"wavryhost/session/api": {
		"platform/guard",
		"session",
		"session/admission",
		"session/api/access",
		"session/api/audit",
		"session/api/auth",
		"session/api/content",
		"session/api/edge",
		"session/api/grant",
		"session/api/handover",
		"session/api/openapi",
		"session/api/page",
		"session/api/problem",
		"session/api/watched",
		"session/api/whep",
		"session/hoststate",
		"session/peer",
		"session/relay",
	},
	"wavryhost/session/api/access": {
		"session", "session/admission", "session/api/auth", "session/api/grant", "session/api/problem",
	},
	"wavryhost/session/api/audit": {"session/api/bucket", "session/api/problem"},
	"wavryhost/session/api/auth": {
		"session",
		"session/api/custody",
		"session/api/durable",
		"session/api/edge",
		"session/api/grant",
		"session/api/problem",
		"session/api/watched",
	},
	"wavryhost/session/api/bucket":  {},
	"wavryhost/session/api/client":  {},
	"wavryhost/session/api/content": {"session/api/problem"},
	"wavryhost/session/api/custody": {},
	"wavryhost/session/api/durable": {},
	"wavryhost/session/api/edge": {
		"session/api/bucket",
		"session/api/custody",
		"session/api/problem",
		"session/api/watched",
	},
	"wavryhost/session/api/grant": {
		"platform/guard",
		"session/api/custody",
		"session/api/durable",
		"session/api/watched",
	},
	"wavryhost/session/api/handover": {"session", "session/admission", "session/api/auth", "session/api/problem"},
	"wavryhost/session/api/openapi":  {"session/api/content", "session/api/grant", "session/api/problem"},
	"wavryhost/session/api/page":     {"session/api/content"},
	"wavryhost/session/api/problem":  {},
	"wavryhost/session/api/watched":  {},
	"wavryhost/session/api/whep": {
		"session",
		"session/admission",
		"session/relay",
		"session/api/auth",
		"session/api/content",
		"session/api/grant",
		"session/api/problem",
	},

	"wavryhost/cmd/wavry-host/canary": {},

	"wavryhost/cmd/wavry-host/config": {"adapt", "encode", "session/api/custody", "session/relay"},

	"wavryhost/cmd/wavry-host/doctor": {},

	"wavryhost/cmd/wavry-host/lab": {
		"adapt", "adapt/chart", "adapt/simulate", "platform/child", "session/api/client",
	},

	"wavryhost/cmd/wavry-host/selfprobe": {"capture"},

	"wavryhost/deploy/monitoring": {"adapt/chart"},
	"wavryhost/deploy/release":    {"deploy/signature"},
	"wavryhost/deploy/signature":  {},

	"wavryhost/session/gateway":             {"platform/guard", "session", "session/peer", "session/progress"},
	"wavryhost/session/gateway/gatewaytest": {},

	"wavryhost/session/fleet": {
		"platform/guard", "session/api/durable", "session/api/problem", "session/fleet/bus",
	},
	"wavryhost/session/fleet/bus":       {},
	"wavryhost/session/fleet/fleettest": {"session/fleet", "session/fleet/bus"},
	"wavryhost/session/fleet/pool":      {"session/api/client", "session/fleet/bus"},
	"wavryhost/session/fleet/overview": {
		"session/api/content", "session/api/page", "session/fleet/bus", "session/fleet/pool",
	},
}

// anything marks the packages that may import any of ours: the wiring, and the end-to-end tests.
var anything = []string{"wavryhost/cmd/wavry-host", "wavryhost/cmd/wavry-host/endtoend"}

// drivers says which packages alone may import a module that must stay in one place.
var drivers = map[string][]string{
	"github.com/asticode/go-astiav": {"wavryhost/encode/ffmpeg"},
	"github.com/kbinani/screenshot": {"wavryhost/capture/screenshot"},
	"github.com/ebitengine/purego":  {"wavryhost/capture/darwin"},
	"github.com/jezek/xgb":          nil,
	"github.com/godbus/dbus":        {"wavryhost/platform/screencast", "wavryhost/platform/screencast/screencasttest"},
	"github.com/pion/": {
		"wavryhost/session/peer",
		"wavryhost/session/peer/peertest",
		"wavryhost/session/relay",
		"wavryhost/session/wire",
		"wavryhost/adapt/simulate/rival",
		"wavryhost/cmd/wavry-host/selfprobe",
	},
	// The sweep and the release are tools for developers, which run the go command and others.
	"os/exec": {
		"wavryhost/platform/child", "wavryhost/adapt/simulate/sweep", "wavryhost/deploy/release",
		"wavryhost/platform/screencast/screencasttest", "wavryhost/platform/guesttest",
	},
	"aead.dev/minisign": {"wavryhost/cmd/wavry-host", "wavryhost/deploy/release", "wavryhost/deploy/signature"},
	"net/http": {
		"wavryhost/session/api",
		"wavryhost/session/api/access",
		"wavryhost/session/api/auth",
		"wavryhost/session/api/client",
		"wavryhost/session/api/content",
		"wavryhost/session/api/edge",
		"wavryhost/session/api/grant",
		"wavryhost/session/api/handover",
		"wavryhost/session/api/openapi",
		"wavryhost/session/api/page",
		"wavryhost/session/api/problem",
		"wavryhost/session/api/whep",
		"wavryhost/session/fleet",
		"wavryhost/session/fleet/bus",
		"wavryhost/session/fleet/fleettest",
		"wavryhost/session/fleet/overview",
		"wavryhost/session/fleet/pool",
		"wavryhost/session/gateway",
		"wavryhost/session/gateway/gatewaytest",
		"wavryhost/session/tracing",
		"wavryhost/session/webhook",
		"wavryhost/cmd/wavry-host",
		"wavryhost/cmd/wavry-host/canary",
		"wavryhost/cmd/wavry-host/lab",
		"wavryhost/cmd/wavry-host/selfprobe",
	},
	"github.com/golang-jwt/jwt":  {"wavryhost/session/api/grant"},
	"github.com/coder/websocket": {"wavryhost/session/gateway", "wavryhost/session/gateway/gatewaytest"},
	"github.com/nats-io/": {
		"wavryhost/session/fleet",
		"wavryhost/session/fleet/bus",
		"wavryhost/session/fleet/fleettest",
		"wavryhost/session/fleet/pool",
		"wavryhost/cmd/wavry-host",
	},
	"github.com/nats-io/nats-server/":   {"wavryhost/session/fleet/fleettest"},
	"wavryhost/session/fleet/fleettest": nil,
	"github.com/pires/go-proxyproto":    {"wavryhost/session/api/edge"},
	"github.com/alecthomas/kong":        {"wavryhost/cmd/wavry-host", "wavryhost/deploy/release"},
	"go.yaml.in/yaml": {
		"wavryhost/cmd/wavry-host/config", "wavryhost/cmd/wavry-host/lab", "wavryhost/deploy/monitoring",
	},
	"github.com/grafana/":          {"wavryhost/deploy/monitoring"},
	"wavryhost/deploy/monitoring":  nil,
	"github.com/coreos/go-systemd": {"wavryhost/platform/service"},
	"howett.net/plist":             {"wavryhost/platform/service"},
	"github.com/prometheus/": {
		"wavryhost/session",
		"wavryhost/session/floor",
		"wavryhost/session/hoststate",
		"wavryhost/session/pipeline",
		"wavryhost/session/relay",
		"wavryhost/session/api",
		"wavryhost/session/outbox",
		"wavryhost/session/tracing",
		"wavryhost/session/webhook",
		"wavryhost/platform/input",
		"wavryhost/platform/pressure",
		"wavryhost/cmd/wavry-host",
		"wavryhost/cmd/wavry-host/canary",
	},
	"gonum.org/":                 {"wavryhost/cmd/wavry-host/canary"},
	"google.golang.org/protobuf": {"wavryhost/session/pointer", "wavryhost/session/rift", "wavryhost/session/tracing"},
	"go.opentelemetry.io/":       {"wavryhost/session/tracing"},
	"C":                          {"wavryhost/capture/pipewire", "wavryhost/encode/ffmpeg", "wavryhost/platform/pressure"},
	"unsafe": {
		"wavryhost/capture/darwin",
		"wavryhost/capture/pipewire",
		"wavryhost/encode/ffmpeg",
		"wavryhost/capture/x11",
		"wavryhost/platform/pressure",
		"wavryhost/capture/kms",
		"wavryhost/platform/kms/drm",
		"wavryhost/platform/kms/kmstest",
	},
	"github.com/chromedp/":                         nil,
	"github.com/danielgtaylor/huma":                {"wavryhost/session/api", "wavryhost/session/api/openapi"},
	"github.com/getkin/kin-openapi":                nil,
	"github.com/santhosh-tekuri/":                  nil,
	"github.com/stretchr/testify":                  nil,
	"log":                                          nil,
	"wavryhost/capture/capturetest":                nil,
	"wavryhost/encode/encodetest":                  nil,
	"wavryhost/encode/encodetest/scene":            nil,
	"wavryhost/platform/guesttest":                 nil,
	"wavryhost/platform/kms/kmstest":               nil,
	"wavryhost/platform/xproto/xprototest":         nil,
	"wavryhost/platform/screencast/screencasttest": nil,
	"wavryhost/session/floor/floortest":            nil,
	"wavryhost/session/logtest":                    nil,
	"wavryhost/session/peer/peertest":              nil,
	"wavryhost/cmd/wavry-host":                     {"wavryhost/cmd/wavry-host"},
	"github.com/pion/interceptor/pkg/gcc":          {"wavryhost/adapt/simulate/rival"},
}

type listed struct {
	ImportPath   string
	Error        *struct{ Err string }
	Doc          string
	Imports      []string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	TestImports  []string
	XTestImports []string
}

func list(t *testing.T, env []string, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// within reports whether path is pattern, or lies below it when pattern ends in a slash or names a module.
func within(path, pattern string) bool {
	return path == pattern || strings.HasPrefix(path, strings.TrimSuffix(pattern, "/")+"/") && pattern != "log"
}

func TestImports(t *testing.T) {
	builds := map[string]struct{ env, args []string }{
		"linux":            {[]string{"GOOS=linux", "CGO_ENABLED=1"}, nil},
		"linux, no FFmpeg": {[]string{"GOOS=linux", "CGO_ENABLED=1"}, []string{"-tags", "noffmpeg"}},
		"linux, no cgo":    {[]string{"GOOS=linux", "CGO_ENABLED=0"}, nil},
		"darwin, no cgo":   {[]string{"GOOS=darwin", "CGO_ENABLED=0"}, nil},
	}
	for name, build := range builds {
		t.Run(name, func(t *testing.T) {
			for _, p := range list(t, build.env, append(build.args, "./...")...) {
				// A package may have no files for a build; other reasons not to read it must not pass unseen.
				if p.Error != nil && !strings.Contains(p.Error.Err, "build constraints exclude all Go files") {
					t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
				}
				checkRoom(t, p)
				checkPure(t, p)
				checkDrivers(t, p)
				if p.Doc == "" && len(p.GoFiles)+len(p.CgoFiles) > 0 {
					t.Errorf("%s has no package comment", p.ImportPath)
				}
			}
		})
	}
}

func checkRoom(t *testing.T, p listed) {
	t.Helper()
	if slices.Contains(anything, p.ImportPath) {
		return
	}
	allowed, ok := rooms[p.ImportPath]
	if !ok {
		t.Errorf("%s is in no room: add it to the table in packages_test.go, with what it may import", p.ImportPath)
		return
	}
	for _, path := range p.Imports {
		if ours, ok := strings.CutPrefix(path, "wavryhost/"); ok && !slices.Contains(allowed, ours) {
			t.Errorf("%s imports %s; it may import only %v of ours", p.ImportPath, path, allowed)
		}
	}
}

// pure says which packages do without goroutines, clocks and I/O, and all that they may import of the standard library.
var pure = map[string][]string{
	"wavryhost/adapt": {
		"fmt", "math", "time", "wavryhost/adapt/encoder", "wavryhost/adapt/hold", "wavryhost/adapt/ladder",
		"wavryhost/adapt/path", "wavryhost/adapt/probe", "wavryhost/adapt/quality", "wavryhost/adapt/tuning",
	},
	"wavryhost/adapt/encoder": {"math", "time", "wavryhost/adapt/path", "wavryhost/adapt/tuning"},
	"wavryhost/adapt/hold":    {"time"},
	"wavryhost/adapt/ladder":  {"math", "time", "wavryhost/adapt/hold", "wavryhost/adapt/tuning"},
	"wavryhost/adapt/probe":   {"time", "wavryhost/adapt/path", "wavryhost/adapt/tuning"},
	"wavryhost/adapt/quality": {"fmt", "time", "wavryhost/adapt/hold", "wavryhost/adapt/tuning"},
	"wavryhost/adapt/tuning":  {"time"},
	"wavryhost/adapt/pacing":  {"time"},
	"wavryhost/adapt/path":    {"math", "slices", "time", "wavryhost/adapt/tuning"},
}

func checkPure(t *testing.T, p listed) {
	t.Helper()
	allowed, ok := pure[p.ImportPath]
	for _, path := range p.Imports {
		if ok && !slices.Contains(allowed, path) {
			t.Errorf("%s imports %s; it may import only %v", p.ImportPath, path, allowed)
		}
	}
}

func checkDrivers(t *testing.T, p listed) {
	t.Helper()
	for _, path := range p.Imports {
		for pattern, allowed := range drivers {
			if within(path, pattern) && !slices.Contains(allowed, p.ImportPath) {
				t.Errorf("%s imports %s, which belongs to %v alone", p.ImportPath, path, allowed)
			}
		}
	}
}

// The names that say nothing about what a package gives.
func TestPackageNames(t *testing.T) {
	for _, p := range list(t, nil, "./...") {
		name := p.ImportPath[strings.LastIndex(p.ImportPath, "/")+1:]
		if slices.Contains([]string{"util", "utils", "common", "types", "helpers", "models", "misc"}, name) {
			t.Errorf("%s: a package is named for what it gives", p.ImportPath)
		}
	}
}

// All timers of a synctest bubble share one context of the race detector. When two threads run two of them at the same
// moment, the detector can crash the test program (golang/go#78156; runtime/time.go, unlockAndRun, of Go 1.26.8):
// "ThreadSanitizer: CHECK failed", or SIGSEGV. With one processor only one such thread exists. The detector finds as
// much with one, because it judges by the order of events and not by coincidence.
func TestBubblesHaveOneProcessorUnderTheRaceDetector(t *testing.T) {
	const guard = "bubbles_race_test.go"
	found := 0
	for _, p := range list(t, []string{"CGO_ENABLED=1"}, "-race", "./...") {
		if !slices.Contains(slices.Concat(p.TestImports, p.XTestImports), "testing/synctest") {
			continue
		}
		found++
		if !slices.Contains(slices.Concat(p.TestGoFiles, p.XTestGoFiles), guard) {
			t.Errorf("%s tests in bubbles, and has no %s; copy that of another package", p.ImportPath, guard)
		}
	}
	if found == 0 {
		t.Error("no package tests in bubbles, so this looks at nothing")
	}
}
