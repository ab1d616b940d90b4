// Package lab runs the daemon and a real browser over real networks with given properties, and judges what the viewer
// gets.
//
// Host and viewer are in network namespaces of their own. Each has one TUN interface, and this process carries the IP
// packets between them through links of adapt/simulate, in real time. So the kernel needs no netem, and the lab has the
// same models of queues, losses and radio links as the simulator. A relay, if requested, is a third namespace next to
// the host.
package lab
