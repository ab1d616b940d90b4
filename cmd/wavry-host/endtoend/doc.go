// Package endtoend tests the daemon as its users have it: the built binary, a real X server, real browsers and stacks that
// share no code with ours, and real network namespaces. All of it carries the build tag integration.
package endtoend
