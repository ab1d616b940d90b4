package kms

import (
	"os"
	"path/filepath"
	"testing"
)

// A card is named by the address of its device, and has the render node of that device.
func TestNodes(t *testing.T) {
	sys, dev := t.TempDir(), t.TempDir()
	for card, node := range map[string]struct{ device, render, number string }{
		"card0":  {"0000:00:02.0", "renderD128", "226:128\n"},
		"card1":  {"0000:03:00.0", "renderD129", "garbage"},
		"card2":  {"vkms", "", ""},
		"card10": {"0000:04:00.0", "renderD137", "226:137\n"},
	} {
		device := filepath.Join(sys, "devices", node.device)
		if err := os.MkdirAll(filepath.Join(device, "drm", card), 0o700); err != nil {
			t.Fatal(err)
		}
		if node.render != "" {
			render := filepath.Join(device, "drm", node.render)
			if err := os.Mkdir(render, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(render, "dev"), []byte(node.number), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(sys, card), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(device, filepath.Join(sys, card, "device")); err != nil {
			t.Skip(err) // Windows permits links to some users only
		}
		if err := os.WriteFile(filepath.Join(dev, card), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []Node{
		{Name: "0000:00:02.0", Render: RenderNode{226, 128}},
		{Name: "0000:03:00.0"},
		{Name: "vkms"},
		{Name: "0000:04:00.0", Render: RenderNode{226, 137}},
	}
	got := nodesIn(sys, dev)
	if len(got) != len(want) {
		t.Fatalf("got %d nodes; want %d", len(got), len(want))
	}
	for i, n := range got {
		if n.Name != want[i].Name || n.Render != want[i].Render {
			t.Errorf("got %s with %v; want %s with %v", n.Name, n.Render, want[i].Name, want[i].Render)
		}
	}
}
