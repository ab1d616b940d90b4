package client

import (
	"reflect"
	"testing"
)

func TestICEServersOfLinks(t *testing.T) {
	turn := ICEServer{URLs: []string{"turn:t.example:3478?transport=udp"}, Username: "1:ann", Credential: `a"b\c;,>`}
	for _, c := range []struct {
		headers []string
		want    []ICEServer
	}{
		{nil, nil},
		{[]string{`<stun:s.example>; rel="ice-server"`}, []ICEServer{{URLs: []string{"stun:s.example"}}}},
		{
			[]string{`<turn:t.example:3478?transport=udp>; rel="ice-server"; username="1:ann"; ` +
				`credential="a\"b\\c;,>"; credential-type="password"`},
			[]ICEServer{turn},
		},
		// A proxy may join the headers, and leave out quotation marks.
		{
			[]string{`<stun:s>;rel=ice-server,<https://docs>; rel="help"; title , <stun:u>; REL = "ice-server"`},
			[]ICEServer{{URLs: []string{"stun:s"}}, {URLs: []string{"stun:u"}}},
		},
		{[]string{`stun:s; rel="ice-server"`, `<stun:s`, `<stun:s>; rel="ice-server`, `;`, `,`, `<>`, `<a>;;;`}, nil},
	} {
		if got := iceServers(c.headers); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q has %+v; want %+v", c.headers, got, c.want)
		}
	}
}

func FuzzICEServers(f *testing.F) {
	f.Add(`<turn:t>; rel="ice-server"; username="u"; credential="\"", <stun:s>;rel=ice-server;x`)
	f.Add(`<a>;;=;"`)
	f.Fuzz(func(t *testing.T, header string) {
		for _, s := range iceServers([]string{header}) {
			if len(s.URLs) != 1 || len(s.URLs[0])+len(s.Username)+len(s.Credential) > len(header) {
				t.Errorf("%q has %+v", header, s)
			}
		}
	})
}
