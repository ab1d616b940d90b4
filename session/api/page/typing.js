// What keys mean: the letters that they type, the state of the locks, and the text of input methods, touch keyboards
// and pastes, which arrives in a text field that nobody sees.

export const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const TEXT_LENGTH = 200; // letters in a message of text: 800 bytes at most
const MARK = "_"; // what the field has before the text, so that touch keyboards can delete something

// letterOf returns the letter that a press types, or 0. In shortcuts only letters of ASCII count: they are where
// programs look for them, whatever the layout.
export function letterOf(e) {
	const letters = [...e.key];
	if (letters.length !== 1) return 0;
	const shortcut = (e.ctrlKey || e.altKey || e.metaKey) && !e.getModifierState("AltGraph");
	const letter = letters[0].codePointAt(0);
	return shortcut && letter > 126 ? 0 : letter;
}

// locksOf returns the state of the locks: 1 for CapsLock, 2 for NumLock. A Mac has no NumLock; its keypad has digits.
export function locksOf(e) { return (e.getModifierState("CapsLock") ? 1 : 0) | (MAC || e.getModifierState("NumLock") ? 2 : 0); }

// composes returns whether a press is for an input method, a touch keyboard or a dead key. Its text comes later.
export function composes(e) { return e.isComposing || e.keyCode === 229 || e.key === "Process" || e.key === "Dead"; }

// chunks divides text into parts for messages.
export function* chunks(text) {
	const letters = [...text];
	for (let i = 0; i < letters.length; i += TEXT_LENGTH) yield letters.slice(i, i + TEXT_LENGTH).join("");
}

// Typist passes the text that arrives in a field to ontext, and the deletions to ondelete.
export class Typist {
	constructor(field, ontext, ondelete) {
		this.field = field;
		this.ontext = ontext;
		this.ondelete = ondelete;
		this.composing = false;
		this.clear();
		field.addEventListener("compositionstart", () => { this.composing = true; });
		field.addEventListener("compositionend", () => { this.composing = false; this.take(); });
		field.addEventListener("input", (e) => { if (!this.composing && !e.isComposing) this.take(); });
	}

	clear() {
		this.field.value = MARK;
		this.field.setSelectionRange(1, 1);
	}

	take() {
		const value = this.field.value;
		this.clear();
		if (value === "") this.ondelete();
		const text = (value.startsWith(MARK) ? value.slice(1) : value).replace(/[^\P{Cc}\n\t]/gu, "");
		if (text !== "") this.ontext(text);
	}
}
