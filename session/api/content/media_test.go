package content

import "testing"

func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    bool
	}{
		{nil, true},
		{[]string{"*/*"}, true},
		{[]string{"application/*;q=0.5, text/html"}, true},
		{[]string{"text/html", "application/sdp"}, true},
		{[]string{"text/html, application/json"}, false},
		{[]string{"application/sdp;q=0, */*"}, false},
		{[]string{"*/*, application/sdp;q=0"}, false},
		{[]string{"APPLICATION/SDP"}, true},
		{[]string{"", " , "}, false},
		{[]string{"///;;"}, false},
	} {
		if got := Accepts(c.headers, "application/sdp"); got != c.want {
			t.Errorf("Accept %q: %v; want %v", c.headers, got, c.want)
		}
	}
}
