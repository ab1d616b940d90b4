package input

import "strings"

// keyNames has the names of keys in XKB's keymaps, by their Linux codes. Servers give keys different numbers, but the
// same names (xkeyboard-config, keycodes/evdev).
var keyNames = func() map[uint32][]string {
	names := make(map[uint32][]string)
	row := func(code uint32, list string) {
		for i, name := range strings.Fields(list) {
			names[code+uint32(i)] = strings.Split(name, "/")
		}
	}
	row(1, "ESC AE01 AE02 AE03 AE04 AE05 AE06 AE07 AE08 AE09 AE10 AE11 AE12 BKSP TAB")
	row(16, "AD01 AD02 AD03 AD04 AD05 AD06 AD07 AD08 AD09 AD10 AD11 AD12 RTRN LCTL")
	row(30, "AC01 AC02 AC03 AC04 AC05 AC06 AC07 AC08 AC09 AC10 AC11 TLDE LFSH BKSL/AC12")
	row(44, "AB01 AB02 AB03 AB04 AB05 AB06 AB07 AB08 AB09 AB10 RTSH KPMU LALT SPCE CAPS")
	row(59, "FK01 FK02 FK03 FK04 FK05 FK06 FK07 FK08 FK09 FK10 NMLK SCLK")
	row(71, "KP7 KP8 KP9 KPSU KP4 KP5 KP6 KPAD KP1 KP2 KP3 KP0 KPDL/KPDC")
	row(86, "LSGT FK11 FK12 AB11 KATA HIRA HENK HKTG MUHE")
	row(96, "KPEN RCTL KPDV PRSC RALT/ALGR LNFD HOME UP PGUP LEFT RGHT END DOWN PGDN INS DELE")
	row(113, "MUTE VOL- VOL+ POWR KPEQ")
	row(119, "PAUS")
	row(121, "KPPT/I129 HNGL HJCV AE13 LWIN/LMTA RWIN/RMTA COMP/MENU STOP AGAI PROP UNDO FRNT COPY OPEN")
	row(135, "PAST FIND CUT HELP")
	return names
}()
