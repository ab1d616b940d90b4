package kms

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wavryhost/platform/kms/drm"
)

// Node is a card that may be opened.
type Node struct {
	// Name is the address of the card's device.
	Name string
	// Render is its render node, or zero if it has none.
	Render RenderNode
	Open   func() (drm.Device, error)
}

// Nodes lists the cards of this machine.
func Nodes() []Node { return nodesIn("/sys/class/drm", "/dev/dri") }

func nodesIn(sys, dev string) []Node {
	paths, _ := filepath.Glob(filepath.Join(dev, "card[0-9]*")) // the pattern is good
	slices.SortFunc(paths, func(a, b string) int {
		if d := len(a) - len(b); d != 0 { // card10 is behind card9
			return d
		}
		return strings.Compare(a, b)
	})
	var all []Node
	for _, path := range paths {
		n := Node{Name: filepath.Base(path), Open: func() (drm.Device, error) { return drm.Open(path) }}
		if device, err := os.Readlink(filepath.Join(sys, n.Name, "device")); err == nil {
			n.Name = filepath.Base(device)
			n.Render = renderNode(filepath.Join(sys, filepath.Base(path), "device"))
		}
		if !slices.ContainsFunc(all, func(o Node) bool { return o.Name == n.Name }) {
			all = append(all, n)
		}
	}
	return all
}

// renderNode returns the render node of a device, or zero if that has none, or several.
func renderNode(device string) RenderNode {
	paths, _ := filepath.Glob(filepath.Join(device, "drm", "renderD*", "dev")) // the pattern is good
	if len(paths) != 1 {
		return RenderNode{}
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		return RenderNode{}
	}
	var r RenderNode
	if _, err := fmt.Sscanf(string(b), "%d:%d\n", &r.Major, &r.Minor); err != nil {
		return RenderNode{}
	}
	return r
}
