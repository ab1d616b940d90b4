// Package endtoend tests the daemon as its users have it: the built binary, a real X server, real browsers and stacks that
// share no code with ours, and real network namespaces. All of it carries the build tag integration.
//
// Tests run beside one another, each with an X server, a daemon and a browser of its own: they wait more than they work. The few that judge how many bits or
// what pictures come run alone.
package endtoend
