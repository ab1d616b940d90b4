package api

import (
	"net/http"
	"net/url"
	"path"
	"testing"

	"wavryhost/session/api/content"
)

// A proxy may add a prefix to all paths and strip it from requests: the paths in page and answers still work.
func TestPathPrefix(t *testing.T) {
	s, _ := newServer(t, Config{}, obliging())
	h := http.StripPrefix("/host7", s.Handler())
	seen := map[string]bool{}
	for list := []string{"/host7/"}; len(list) > 0; list = list[1:] {
		at, err := url.Parse(list[0])
		if err != nil {
			t.Fatal(err)
		}
		if seen[at.Path] {
			continue
		}
		seen[at.Path] = true
		resp := ask{method: "GET", path: at.Path}.do(h)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", at.Path, resp.StatusCode)
			continue
		}
		for _, name := range pageNames.FindAllStringSubmatch(resp.body, -1) {
			to, err := at.Parse(name[0][1 : len(name[0])-1])
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, to.Path)
		}
	}
	if len(seen) < 10 || !seen["/host7/page/whep.js"] {
		t.Errorf("the page has only %v", seen)
	}

	for _, made := range []struct {
		request ask
		want    string
	}{
		{ask{method: "POST", path: "/host7/whep/default", body: offer, header: sdp()}, "/host7/whep/sessions"},
		{
			ask{
				method: "POST", path: "/host7/v1/sessions", body: `{"sdp": "v=0"}`,
				header: map[string]string{"Content-Type": content.JSON},
			}, "/host7/v1/sessions",
		},
		{
			ask{
				method: "POST", path: "/host7/v1/reservations", body: `{}`,
				header: map[string]string{"Content-Type": content.JSON},
			}, "/host7/v1/reservations",
		},
	} {
		resp := made.request.do(h)
		base, err := url.Parse(made.request.path)
		if err != nil {
			t.Fatal(err)
		}
		at, err := base.Parse(resp.Header.Get("Location"))
		if err != nil || resp.StatusCode != http.StatusCreated || path.Dir(at.Path) != made.want {
			t.Errorf("%s: %d, Location %q, %v; want it in %s",
				made.request.path, resp.StatusCode, resp.Header.Get("Location"), err, made.want)
		}
	}
}
