package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// place is a network namespace with one interface, through which all of its packets pass this process. It has no name,
// so that nothing of it is left when this process and its children have ended.
type place struct {
	name    string
	address netip.Addr
	network *os.File
	device  *os.File
}

// deviceName is the name of the interface in each namespace.
const deviceName = "wire0"

// newPlace makes a network namespace. bits is the length of the prefix of its own network; everything else is behind
// the interface, too.
func newPlace(name string, address netip.Addr, bits int) (p *place, err error) {
	p = &place{name: name, address: address}
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			if errors.Is(err, unix.EPERM) {
				return errNotPermitted
			}
			return os.NewSyscallError("unshare", err)
		}
		var err error
		if p.network, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return p.setUp(bits)
	})
	if err != nil {
		p.close()
		return nil, fmt.Errorf("lab: make the network of the %s: %w", name, err)
	}
	return p, nil
}

// setUp makes the interfaces, on a thread in the namespace.
func (p *place) setUp(bits int) error {
	// Addresses of IPv6 appear seconds later, and Chromium drops its connections when the network changes.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0); err != nil &&
		!errors.Is(err, os.ErrNotExist) {
		return err
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(socket) }()
	if err := up(socket, "lo"); err != nil {
		return err
	}
	if p.device, err = openDevice(); err != nil {
		return err
	}
	if err := setAddress(socket, unix.SIOCSIFADDR, p.address.As4()); err != nil {
		return err
	}
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-bits))
	if err := setAddress(socket, unix.SIOCSIFNETMASK, mask); err != nil {
		return err
	}
	if err := up(socket, deviceName); err != nil {
		return err
	}
	return addRoute(socket)
}

// openDevice makes the interface, whose packets are read from and written to the file.
func openDevice() (*os.File, error) {
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w; load the kernel's module: modprobe tun", path, err)
	}
	r, err := unix.NewIfreq(deviceName)
	if err == nil {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make the interface %s: %w", deviceName, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func setAddress(socket int, request uint, address [4]byte) error {
	r, err := unix.NewIfreq(deviceName)
	if err == nil {
		err = r.SetInet4Addr(address[:])
	}
	if err == nil {
		err = unix.IoctlIfreq(socket, request, r)
	}
	if err != nil {
		return fmt.Errorf("set the address of %s: %w", deviceName, err)
	}
	return nil
}

// up starts an interface.
func up(socket int, device string) error {
	r, err := unix.NewIfreq(device)
	if err == nil {
		err = unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, r)
	}
	if err == nil {
		r.SetUint16(r.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
		err = unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, r)
	}
	if err != nil {
		return fmt.Errorf("start the interface %s: %w", device, err)
	}
	return nil
}

// addRoute makes the interface the default route, by a message of rtnetlink(7).
func addRoute(socket int) error {
	r, err := unix.NewIfreq(deviceName)
	if err == nil {
		err = unix.IoctlIfreq(socket, unix.SIOCGIFINDEX, r)
	}
	if err != nil {
		return fmt.Errorf("find the interface %s: %w", deviceName, err)
	}
	link, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(link) }()
	const length = unix.SizeofNlMsghdr + unix.SizeofRtMsg + unix.SizeofRtAttr + 4
	order := binary.NativeEndian
	message := order.AppendUint32(nil, length)
	message = order.AppendUint16(message, unix.RTM_NEWROUTE)
	message = order.AppendUint16(message, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_ACK)
	message = append(message, make([]byte, 8)...) // sequence and sender
	message = append(message, unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK,
		unix.RTN_UNICAST, 0, 0, 0, 0)
	message = order.AppendUint16(message, unix.SizeofRtAttr+4)
	message = order.AppendUint16(message, unix.RTA_OIF)
	message = order.AppendUint32(message, r.Uint32())
	if err := unix.Sendto(link, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("add the default route: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(link, answer, 0)
	switch {
	case err != nil:
	case n < unix.SizeofNlMsghdr+4 || order.Uint16(answer[4:]) != unix.NLMSG_ERROR:
		err = errors.New("the kernel's answer is no acknowledgement")
	default:
		if code := int32(order.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
			err = unix.Errno(-code)
		}
	}
	if err != nil {
		return fmt.Errorf("add the default route: %w", err)
	}
	return nil
}

// within calls f on a thread in the namespace. Sockets stay in the namespace in which they were made.
func (p *place) within(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(p.network.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("lab: enter the network of the %s: %w", p.name, err)
		}
		return f()
	})
}

// onThread calls f on a thread that ends afterwards.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // without an end: the thread ends with this goroutine
		result <- f()
	}()
	return <-result
}

func (p *place) close() {
	if p.device != nil {
		_ = p.device.Close()
	}
	if p.network != nil {
		_ = p.network.Close()
	}
}
