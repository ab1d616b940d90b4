// The page's elements by their ids. What is shown already is left alone, so that nothing is laid out or read aloud anew.

export const $ = (id) => document.getElementById(id);

export function show(id, on) { $(id).hidden = !on; }
export function text(id, s) { const e = $(id); if (e.textContent !== s) e.textContent = s; }
