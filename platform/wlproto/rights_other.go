//go:build !unix

package wlproto

// rights returns nothing: only Unix systems pass descriptors.
func rights([]int) []byte { return nil }
