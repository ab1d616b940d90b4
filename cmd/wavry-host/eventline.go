package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// eventLine returns an event as a line for people: when, what, and the fields that it has. What is no event stays as it
// is.
func eventLine(data string) string {
	var fields map[string]any
	if err := json.Unmarshal([]byte(data), &fields); err != nil {
		return data
	}
	at := ""
	if text, ok := fields["at"].(string); ok {
		if when, err := time.Parse(time.RFC3339Nano, text); err == nil {
			at = when.Local().Format("2006-01-02 15:04:05.000")
		}
	}
	kind, _ := fields["kind"].(string)
	var names []string
	for name, value := range fields {
		if _, nested := value.(map[string]any); !nested && name != "at" && name != "kind" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "%-23s  %-20s", at, kind)
	for _, name := range names {
		fmt.Fprintf(&b, " %s=%v", name, fields[name])
	}
	return b.String()
}
