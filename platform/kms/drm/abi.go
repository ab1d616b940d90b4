package drm

// The requests of drm.h and drm_mode.h. They have the same numbers on all architectures that the daemon runs on.
const (
	IoctlVersion          = 0xc0406400
	IoctlGEMClose         = 0x40086409
	IoctlSetClientCap     = 0x4010640d
	IoctlDropMaster       = 0x0000641f
	IoctlPrimeHandleToFD  = 0xc00c642d
	IoctlWaitVBlank       = 0xc018643a
	IoctlGetResources     = 0xc04064a0
	IoctlGetCRTC          = 0xc06864a1
	IoctlGetEncoder       = 0xc01464a6
	IoctlGetConnector     = 0xc05064a7
	IoctlGetProperty      = 0xc04064aa
	IoctlMapDumb          = 0xc01064b3
	IoctlGetPlanes        = 0xc01064b5
	IoctlGetPlane         = 0xc02064b6
	IoctlObjectProperties = 0xc02064b9
	IoctlGetFB2           = 0xc06864ce
)

// Values of the fields below.
const (
	CapUniversalPlanes = 2 // a client sees all planes
	CapAtomic          = 3 // and their properties for positions
	CapCursorHotspot   = 6 // and the cursor planes of virtual machines

	Connected = 1

	ObjectPlane = 0xeeeeeeee

	PlaneOverlay = 0
	PlanePrimary = 1
	PlaneCursor  = 2

	Rotate0 = 1

	FramebufferModifiers = 1 << 1

	PrimeCloexec = 0o2000000 // O_CLOEXEC

	VBlankRelative = 1
)

// VersionArg is drm_version.
type VersionArg struct {
	Major, Minor, Patch int32
	_                   int32
	NameLen, Name       uint64
	DateLen, Date       uint64
	DescLen, Desc       uint64
}

// ClientCapArg is drm_set_client_cap.
type ClientCapArg struct{ Capability, Value uint64 }

// ResourcesArg is drm_mode_card_res.
type ResourcesArg struct {
	FBs, CRTCs, Connectors, Encoders                     uint64
	CountFBs, CountCRTCs, CountConnectors, CountEncoders uint32
	MinWidth, MaxWidth, MinHeight, MaxHeight             uint32
}

// ModeArg is drm_mode_modeinfo.
type ModeArg struct {
	Clock                                          uint32 // kHz
	HDisplay, HSyncStart, HSyncEnd, HTotal, HSkew  uint16
	VDisplay, VSyncStart, VSyncEnd, VTotal, VScans uint16
	VRefresh                                       uint32 // Hz
	Flags, Type                                    uint32
	Name                                           [32]byte
}

// ConnectorArg is drm_mode_get_connector.
type ConnectorArg struct {
	Encoders, Modes, Props, PropValues                uint64
	CountModes, CountProps, CountEncoders             uint32
	EncoderID, ConnectorID                            uint32
	Type, TypeID                                      uint32
	Connection, MMWidth, MMHeight, Subpixel, reserved uint32
}

// EncoderArg is drm_mode_get_encoder.
type EncoderArg struct{ EncoderID, Type, CRTCID, PossibleCRTCs, PossibleClones uint32 }

// CRTCArg is drm_mode_crtc.
type CRTCArg struct {
	SetConnectors                 uint64
	CountConnectors, CRTCID, FBID uint32
	X, Y                          uint32 // in the framebuffer
	GammaSize, ModeValid          uint32
	Mode                          ModeArg
}

// PlanesArg is drm_mode_get_plane_res.
type PlanesArg struct {
	Planes uint64
	Count  uint32
	_      uint32
}

// PlaneArg is drm_mode_get_plane.
type PlaneArg struct {
	PlaneID, CRTCID, FBID, PossibleCRTCs, GammaSize, CountFormats uint32
	Formats                                                       uint64
}

// ObjectPropertiesArg is drm_mode_obj_get_properties.
type ObjectPropertiesArg struct {
	Props, Values               uint64
	Count, ObjectID, ObjectType uint32
	_                           uint32
}

// PropertyArg is drm_mode_get_property.
type PropertyArg struct {
	Values, Enums           uint64
	PropertyID, Flags       uint32
	Name                    [32]byte
	CountValues, CountEnums uint32
}

// FramebufferArg is drm_mode_fb_cmd2.
type FramebufferArg struct {
	FBID, Width, Height, Format, Flags uint32
	Handles, Pitches, Offsets          [4]uint32
	_                                  uint32
	Modifiers                          [4]uint64
}

// PrimeArg is drm_prime_handle.
type PrimeArg struct {
	Handle, Flags uint32
	FD            int32
}

// MapDumbArg is drm_mode_map_dumb.
type MapDumbArg struct {
	Handle, _ uint32
	Offset    uint64
}

// GEMCloseArg is drm_gem_close.
type GEMCloseArg struct{ Handle, _ uint32 }

// WaitVBlankArg is drm_wait_vblank. A request has Signal; an answer has the time in its place.
type WaitVBlankArg struct {
	Type, Sequence uint32
	Seconds        int64
	Microseconds   int64
}
