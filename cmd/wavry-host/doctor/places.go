package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// clockInStep checks the clock, on which grants, credentials of relays and certificates depend.
func (m Machine) clockInStep() Finding {
	ok, off, err := m.Clock()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return Skip("this system does not say")
	case err != nil:
		return Warn("timedatectl", "the state of the clock is unknown: %v", err)
	case !ok:
		return Warn("timedatectl set-ntp true",
			"nothing synchronizes the clock: grants and credentials of relays may be refused")
	case off > time.Second:
		return Warn("chronyc tracking", "the clock may be off by %v", off.Round(time.Millisecond))
	}
	return Fine("synchronized, at most %v off", off.Round(time.Millisecond))
}

// renderNodes checks that the user may open the render nodes.
func (m Machine) renderNodes() Finding {
	nodes, _ := filepath.Glob(m.path("dev/dri/renderD*")) // the pattern is valid
	if len(nodes) == 0 {
		return Skip("no graphics card with a driver: encoders run on the processors")
	}
	for _, node := range nodes {
		f, err := os.OpenFile(node, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrPermission) {
			return Warn("usermod --append --groups render,video wavry-host", "%s: permission denied to this user", node)
		}
		if err != nil {
			return Warn("ls -l "+filepath.Dir(node), "%v", err)
		}
		_ = f.Close()
	}
	return Fine("%s", strings.Join(nodes, ", "))
}

// nvidiaVendor is the vendor of NVIDIA's devices on the PCI bus; displayClass begins the class of graphics cards.
const (
	nvidiaVendor = "0x10de"
	displayClass = "0x03"
)

// nvidia checks that the cards on the bus have the driver that their encoder requires.
func (m Machine) nvidia() Finding {
	folders, _ := filepath.Glob(m.path("sys/bus/pci/devices/*")) // the pattern is valid
	for _, at := range folders {
		vendor, _ := os.ReadFile(filepath.Join(at, "vendor"))
		class, _ := os.ReadFile(filepath.Join(at, "class"))
		if strings.TrimSpace(string(vendor)) != nvidiaVendor || !strings.HasPrefix(string(class), displayClass) {
			continue
		}
		if _, err := os.Stat(m.path("dev/nvidiactl")); err != nil {
			return Warn("modprobe nvidia; if it is not installed: apt-get install nvidia-driver libnvidia-encode1",
				"card %s is on the bus, and its driver is not loaded (no /dev/nvidiactl)", filepath.Base(at))
		}
		return Fine("card %s with its driver", filepath.Base(at))
	}
	return Skip("no NVIDIA card")
}

func (m Machine) interfaces() Finding {
	all, err := m.Addresses()
	if err != nil {
		return Fail("ip address", "the interfaces cannot be listed: %v", err)
	}
	var found []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			found = append(found, n.IP.String())
		}
	}
	if len(found) == 0 {
		return Warn("ip address; ip link set dev NAME up",
			"no address but those of loopback: no other machine can connect")
	}
	return Fine("%s", strings.Join(found, ", "))
}

// Writable returns the check that the daemon can write into a folder.
func (m Machine) Writable(id, title, folder string) Check {
	return Check{id, title, func(context.Context) Finding {
		if folder == "" {
			return Warn("set HOME or XDG_STATE_HOME", "there is no folder for state: it is lost at a restart")
		}
		probe := folder
		for { // the daemon makes what is missing
			if _, err := os.Stat(probe); !errors.Is(err, fs.ErrNotExist) || probe == filepath.Dir(probe) {
				break
			}
			probe = filepath.Dir(probe)
		}
		f, err := os.CreateTemp(probe, ".wavry-host-check-*")
		if err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
		if err != nil {
			return Fail("install -d -m 0700 -o wavry-host "+folder, "%v", err)
		}
		return Fine("%s", folder)
	}}
}

// Room returns the check that the file system of a path has room.
func (m Machine) Room(id, title, path string) Check {
	return Check{id, title, func(context.Context) Finding {
		if path == "" {
			return Skip("nothing is written")
		}
		at := path
		for at != filepath.Dir(at) {
			if _, err := os.Stat(at); err == nil {
				break
			}
			at = filepath.Dir(at)
		}
		s, err := m.Space(at)
		fix := "df -h " + at + "; journalctl --vacuum-size=500M"
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return Skip("this system does not say")
		case err != nil:
			return Warn(fix, "%s: %v", at, err)
		case s.Free < 16*mib:
			return Fail(fix, "%s: %d MiB of %d MiB are free: nothing can be written soon", at, s.Free/mib, s.Total/mib)
		case s.AllInodes > 0 && s.FreeInodes < s.AllInodes/50:
			return Warn("df -i "+at, "%s: %d of %d inodes are free", at, s.FreeInodes, s.AllInodes)
		case s.Free < 256*mib:
			return Warn(fix, "%s: %d MiB of %d MiB are free", at, s.Free/mib, s.Total/mib)
		}
		return Fine("%s: %d MiB of %d MiB are free", at, s.Free/mib, s.Total/mib)
	}}
}

// Names returns the check that names have addresses.
func (m Machine) Names(id, title string, names []string) Check {
	return Check{id, title, func(ctx context.Context) Finding {
		var good []string
		for _, name := range names {
			found, err := m.LookUp(ctx, name)
			if err != nil {
				return Warn("getent hosts "+name, "%s has no address here: %v", name, err)
			}
			good = append(good, name+" = "+strings.Join(found, " "))
		}
		if len(good) == 0 {
			return Skip("no names are configured")
		}
		return Fine("%s", strings.Join(good, ", "))
	}}
}

// Reachable returns the check that an address takes connections. It is skipped if the address is empty.
func (m Machine) Reachable(id, title, address string) Check {
	return Check{id, title, func(ctx context.Context) Finding {
		if address == "" {
			return Skip("none is configured")
		}
		if err := m.Dial(ctx, address); err != nil {
			return Fail("curl -v --max-time 5 telnet://"+address, "%s: %v", address, err)
		}
		return Fine("%s takes connections", address)
	}}
}
