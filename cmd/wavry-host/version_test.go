package main

import (
	"strings"
	"testing"
)

// A release names the address of its source code.
func TestVersionNamesTheSource(t *testing.T) {
	defer func(before string) { source = before }(source)
	source = "https://example.net/wavry-host"
	if got := try(t, nil, "version"); !strings.Contains(got.out, "\nsource code: https://example.net/wavry-host\n") {
		t.Errorf("got %+v", got)
	}
	if got := try(t, nil, "version", "--json"); !strings.Contains(got.out, `"source": "https://example.net/wavry-host"`) {
		t.Errorf("got %+v", got)
	}
}
