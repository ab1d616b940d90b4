package pressure

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// drivers returns the drivers of this system.
func drivers() []driver {
	cards := &sysfs{root: "/"}
	return append(nvidiaDrivers(), driver{"sysfs", func() ([]GPU, error) { return cards.read(time.Now()) }})
}

// cardName matches a card, and not its connectors, such as card0-DP-1.
var cardName = regexp.MustCompile(`^card[0-9]+$`)

// The PCI vendors of cards that encode with VAAPI.
const (
	vendorAMD   = "0x1002"
	vendorIntel = "0x8086"
)

// carveOut is the memory below which a card counts as a processor's own graphics. Those use main memory beyond the part
// that firmware reserved.
const carveOut = 2 << 30

// sysfs reads the cards of AMD and Intel. One goroutine calls it.
type sysfs struct {
	root   root
	at     time.Time
	worked map[string]time.Duration // time of a card's encoders for this process, at the last look
}

func (s *sysfs) read(now time.Time) ([]GPU, error) {
	entries, err := os.ReadDir(filepath.Join(string(s.root), "sys/class/drm"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	var cards []GPU
	var own map[string]time.Duration
	for _, e := range entries {
		if !cardName.MatchString(e.Name()) {
			continue
		}
		device := filepath.Join("sys/class/drm", e.Name(), "device")
		vendor, err := s.root.read(device, "vendor")
		kind := strings.TrimSpace(string(vendor))
		if err != nil || kind != vendorAMD && kind != vendorIntel {
			continue
		}
		c := GPU{ID: e.Name(), API: "vaapi"}
		var slot string
		c.Name, slot = s.describe(device, kind)
		if nodes, err := os.ReadDir(filepath.Join(string(s.root), device, "drm")); err == nil {
			for _, n := range nodes {
				if strings.HasPrefix(n.Name(), "renderD") {
					c.Device = "/dev/dri/" + n.Name()
				}
			}
		}
		if s.root.asleep(device) {
			cards = append(cards, c)
			continue
		}
		c.Busy = s.percent(device, "gpu_busy_percent")
		c.Encoder = s.percent(device, "vcn_busy_percent")
		c.MemoryUsed, c.MemoryTotal = s.memory(device)
		if own == nil {
			own = s.own()
		}
		if before, ok := s.worked[slot]; ok && c.Encoder == 0 && now.After(s.at) {
			c.Encoder = min(1, max(0, (own[slot]-before).Seconds()/now.Sub(s.at).Seconds()))
		}
		cards = append(cards, c)
	}
	if len(cards) == 0 {
		return nil, fmt.Errorf("%w: none of %d devices is AMD's or Intel's", ErrUnsupported, len(entries))
	}
	slices.SortFunc(cards, func(a, b GPU) int { return strings.Compare(a.ID, b.ID) })
	s.at, s.worked = now, own
	return cards, nil
}

// describe returns a name for people, and the PCI address of the card.
func (s *sysfs) describe(device, vendor string) (name, slot string) {
	name = map[string]string{vendorAMD: "AMD", vendorIntel: "Intel"}[vendor]
	text, err := s.root.read(device, "uevent")
	if err != nil {
		return name, ""
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "PCI_ID":
			name += " " + strings.ToLower(value)
		case "PCI_SLOT_NAME":
			slot = value
		}
	}
	return name, slot
}

// percent reads a file with a value from 0 to 100. A missing file counts as 0.
func (s *sysfs) percent(device, file string) float64 {
	n, err := s.root.number(device, file)
	if err != nil {
		return 0
	}
	return float64(min(max(n, 0), 100)) / 100
}

// memory returns the used and the total memory of the card.
func (s *sysfs) memory(device string) (used, total int64) {
	total, err := s.root.number(device, "mem_info_vram_total")
	used, err2 := s.root.number(device, "mem_info_vram_used")
	if err != nil || err2 != nil || total <= 0 {
		return 0, 0
	}
	if total < carveOut {
		more, err := s.root.number(device, "mem_info_gtt_total")
		moreUsed, err2 := s.root.number(device, "mem_info_gtt_used")
		if err == nil && err2 == nil {
			used, total = used+moreUsed, total+more
		}
	}
	return used, total
}

// own returns the time that encoders worked for this process, by PCI address of the card.
func (s *sysfs) own() map[string]time.Duration {
	sum := make(map[string]time.Duration)
	files, err := os.ReadDir(filepath.Join(string(s.root), "proc/self/fd"))
	if err != nil {
		return sum
	}
	seen := make(map[string]bool)
	for _, f := range files {
		to, err := os.Readlink(filepath.Join(string(s.root), "proc/self/fd", f.Name()))
		if err != nil || !strings.HasPrefix(to, "/dev/dri/") {
			continue
		}
		text, err := s.root.read("proc/self/fdinfo", f.Name())
		if err != nil {
			continue
		}
		e, ok := parseEngines(text)
		if key := e.card + " " + e.client; ok && !seen[key] {
			seen[key] = true
			sum[e.card] += e.encoder
		}
	}
	return sum
}
