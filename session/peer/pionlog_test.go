package peer

import "testing"

func TestSecretsInTextsOfPion(t *testing.T) {
	for text, want := range map[string]string{
		`remoteUfrag: "U59Q", remotePwd: "zV/gR+X5\"2"`: `remoteUfrag: "U59Q", remotePwd: (hidden)`,
		`relay with password=abc, realm=b`:              `relay with password=(hidden), realm=b`,
		`Credential: x y`:                               `Credential: (hidden) y`,
		`no remote password was given`:                  `no remote password was given`,
	} {
		if got := conceal(text); got != want {
			t.Errorf("got %s; want %s", got, want)
		}
	}
}
