package screencast

import (
	"context"
	"errors"
	"fmt"
	"image"

	"github.com/godbus/dbus/v5"
)

// The interfaces of mutter.
const (
	castService   = "org.gnome.Mutter.ScreenCast"
	castPath      = "/org/gnome/Mutter/ScreenCast"
	castSession   = castService + ".Session"
	castStream    = castService + ".Stream"
	remoteService = "org.gnome.Mutter.RemoteDesktop"
	remotePath    = "/org/gnome/Mutter/RemoteDesktop"
	remoteSession = remoteService + ".Session"
	configService = "org.gnome.Mutter.DisplayConfig"
	configPath    = "/org/gnome/Mutter/DisplayConfig"

	monitorsChanged = configService + ".MonitorsChanged"
)

// Cursor says where the pointer goes. Its values are mutter's.
type Cursor uint32

// The modes.
const (
	CursorHidden Cursor = iota
	CursorEmbedded
)

// Monitor is a monitor of GNOME.
type Monitor struct {
	Name     string          // of its connector
	Area     image.Rectangle // on the desktop, in its units
	Size     image.Point     // of its picture, in pixels
	Scale    float64
	Rotation int // counterclockwise, in degrees
	Primary  bool
}

// The types of GetCurrentState.
type (
	monitorID   struct{ Connector, Vendor, Product, Serial string }
	monitorMode struct {
		ID              string
		Width, Height   int32
		Refresh, Scale  float64
		SupportedScales []float64
		Properties      map[string]dbus.Variant
	}
	physicalMonitor struct {
		ID         monitorID
		Modes      []monitorMode
		Properties map[string]dbus.Variant
	}
	logicalMonitor struct {
		X, Y       int32
		Scale      float64
		Transform  uint32
		Primary    bool
		Monitors   []monitorID
		Properties map[string]dbus.Variant
	}
)

// Desktop is a connection to mutter that watches its monitors.
type Desktop struct{ *Session }

// OpenDesktop connects to mutter on a bus.
func OpenDesktop(ctx context.Context, bus string) (*Desktop, error) {
	s, err := connect(ctx, bus, configService, configService)
	if err != nil {
		return nil, err
	}
	s.path = configPath
	return &Desktop{s}, nil
}

// Monitors returns the monitors that are on.
func (d *Desktop) Monitors(ctx context.Context) ([]Monitor, error) { return d.monitors(ctx) }

func (s *Session) monitors(ctx context.Context) ([]Monitor, error) {
	var (
		serial     uint32
		physical   []physicalMonitor
		logical    []logicalMonitor
		properties map[string]dbus.Variant
	)
	err := s.call(ctx, configPath, configService+".GetCurrentState", nil,
		[]any{&serial, &physical, &logical, &properties})
	if err != nil {
		return nil, err
	}
	return arrange(physical, logical, properties), nil
}

// Changed waits for a change of the monitors.
func (d *Desktop) Changed(ctx context.Context) error {
	_, err := d.await(ctx, func(sig *dbus.Signal) bool { return sig.Name == monitorsChanged })
	return err
}

// arrange puts together what mutter says of its monitors.
func arrange(physical []physicalMonitor, logical []logicalMonitor, properties map[string]dbus.Variant) []Monitor {
	mode, _ := properties["layout-mode"].Value().(uint32)
	sizes := make(map[string]image.Point)
	for _, p := range physical {
		for _, m := range p.Modes {
			if current, _ := m.Properties["is-current"].Value().(bool); current {
				sizes[p.ID.Connector] = image.Pt(int(m.Width), int(m.Height))
			}
		}
	}
	var list []Monitor
	for _, l := range logical {
		for _, id := range l.Monitors {
			m := Monitor{
				Name: id.Connector, Size: sizes[id.Connector], Scale: l.Scale, Rotation: int(l.Transform&3) * 90,
				Primary: l.Primary,
			}
			if l.Transform&1 != 0 {
				m.Size.X, m.Size.Y = m.Size.Y, m.Size.X
			}
			area := m.Size
			const layoutLogical = 1
			if mode == layoutLogical && l.Scale > 0 {
				area = image.Pt(int(float64(area.X)/l.Scale), int(float64(area.Y)/l.Scale))
			}
			at := image.Pt(int(l.X), int(l.Y))
			m.Area = image.Rectangle{Min: at, Max: at.Add(area)}
			list = append(list, m)
		}
	}
	return list
}

// Record has mutter record a monitor. It returns the session, and the node of its stream. The session outlives ctx.
func Record(ctx context.Context, bus, connector string, cursor Cursor) (*Session, uint32, error) {
	s, err := connect(ctx, bus, castService, castSession, castStream)
	if err != nil {
		return nil, 0, err
	}
	s.closed = []string{castSession + ".Closed"}
	node, err := s.cast(ctx, connector, cursor)
	if err != nil {
		s.Close()
		return nil, 0, fmt.Errorf("record monitor %s of mutter: %w", connector, err)
	}
	s.start()
	return s, node, nil
}

func (s *Session) cast(ctx context.Context, connector string, cursor Cursor) (uint32, error) {
	options := map[string]dbus.Variant{}
	if err := s.call(ctx, castPath, castService+".CreateSession", []any{options}, []any{&s.path}); err != nil {
		return 0, err
	}
	stream, err := s.record(ctx, s.path, connector, cursor)
	if err != nil {
		return 0, err
	}
	if err := s.call(ctx, s.path, castSession+".Start", nil, nil); err != nil {
		return 0, err
	}
	sig, err := s.await(ctx, func(sig *dbus.Signal) bool {
		return sig.Name == castStream+".PipeWireStreamAdded" && sig.Path == stream
	})
	if err != nil {
		return 0, explain("wait for the stream", err)
	}
	var node uint32
	if err := dbus.Store(sig.Body, &node); err != nil {
		return 0, explain("read the number of the stream", err)
	}
	return node, nil
}

// record adds a monitor to a session for recording.
func (s *Session) record(ctx context.Context, session dbus.ObjectPath, connector string, cursor Cursor) (
	stream dbus.ObjectPath, err error,
) {
	options := map[string]dbus.Variant{"cursor-mode": dbus.MakeVariant(uint32(cursor))}
	err = s.call(ctx, session, castSession+".RecordMonitor", []any{connector, options}, []any{&stream})
	// Mutter has one error for all that it does not know.
	if failure, ok := errors.AsType[dbus.Error](err); ok && failure.Name == "org.freedesktop.DBus.Error.Failed" {
		err = fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	return stream, err
}
