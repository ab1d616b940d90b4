// The page's elements by ID. An unchanged text is not set again, so that nothing is laid out or read aloud again.

export const $ = (id) => document.getElementById(id);

export function show(id, on) { $(id).hidden = !on; }
export function text(id, s) { const e = $(id); if (e.textContent !== s) e.textContent = s; }
