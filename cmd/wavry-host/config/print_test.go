package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestPrintedConfigurationReadsBack(t *testing.T) {
	noSecrets := strings.NewReplacer(
		"token: 0123456789abcdef\n", "token_file: TOKEN\n", "turn:", "stun:", "turns:", "stuns:",
		"      username: ann\n      credential: fedcba9876543210\n", "",
	).Replace(full)
	noSecrets = strings.Replace(noSecrets, "TOKEN", write(t, "token", "0123456789abcdef"), 1)
	for name, content := range map[string]string{"defaults": "", "everything": noSecrets} {
		t.Run(name, func(t *testing.T) {
			first, err := Load(Sources{Path: write(t, "config.yaml", content)})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := first.Print(&b); err != nil {
				t.Fatal(err)
			}
			second, err := Load(Sources{Path: write(t, "printed.yaml", b.String())})
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			for _, s := range Settings() {
				if !same(s.Value(&first.Config), s.Value(&second.Config)) {
					t.Errorf("%s: got %v; want %v\n%s", s.Name, s.Value(&second.Config), s.Value(&first.Config), b.String())
				}
			}
		})
	}
}

// same reports whether two values are alike. Lists without elements are: a file may say [] or nothing.
func same(a, b any) bool {
	if v := reflect.ValueOf(a); v.Kind() == reflect.Slice && v.Len() == 0 {
		return reflect.ValueOf(b).Len() == 0
	}
	return reflect.DeepEqual(a, b)
}

func TestPrintedConfigurationHidesSecrets(t *testing.T) {
	path := write(t, "config.yaml", full)
	l, err := Load(Sources{
		Path: path, Flags: map[string]string{"displays.fps": "24"}, Env: []string{"WAVRY_HOST_TIMEOUTS__LINGER=3s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.Print(&b); err != nil {
		t.Fatal(err)
	}
	printed := b.String()
	for _, s := range []string{"0123456789abcdef", "fedcba9876543210"} {
		if strings.Contains(printed, s) {
			t.Errorf("a secret is shown:\n%s", printed)
		}
	}
	for _, want := range []string{
		"  token: (hidden) # " + path + ":25\n", "      credential: (hidden)\n", "  fps: 24 # --fps\n",
		"  linger: 3s # WAVRY_HOST_TIMEOUTS__LINGER\n", "  token_file: none # default\n", "    max: 4.5M # " + path + ":",
		"  servers: # " + path + ":",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing in\n%s", want, printed)
		}
	}
	// A mask must not pass for a secret that everybody knows.
	if _, err := Load(Sources{Path: write(t, "printed.yaml", printed)}); err == nil {
		t.Error("masked secrets were taken for real ones")
	}
}

func TestPrintedForPrograms(t *testing.T) {
	path := write(t, "config.yaml", full)
	l, err := Load(Sources{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.PrintJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		SchemaVersion int `json:"schema_version"`
		Files         []string
		Settings      []struct {
			Name, Origin, Variable string
			Value                  any
			Live                   bool
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.SchemaVersion != SchemaVersion || len(got.Files) != 1 || len(got.Settings) != len(Settings()) {
		t.Errorf("got %+v", got)
	}
	for _, s := range got.Settings {
		switch s.Name {
		case "auth.token":
			if s.Value != "(hidden)" || !strings.HasPrefix(s.Origin, path+":") || !s.Live {
				t.Errorf("got %+v", s)
			}
		case "displays.fps":
			if s.Value != 30.0 || s.Variable != "WAVRY_HOST_DISPLAYS__FPS" {
				t.Errorf("got %+v", s)
			}
		case "gateway.account_file":
			if s.Value != "none" || s.Origin != "default" {
				t.Errorf("got %+v", s)
			}
		}
	}
}
