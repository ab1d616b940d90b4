// What the page remembers for as long as its tab is open. Where that is forbidden it is forgotten with the page.

export function recall(key) { try { return sessionStorage.getItem(key) || ""; } catch (e) { return ""; } }
export function remember(key, value) { try { sessionStorage.setItem(key, value); } catch (e) { /* then for this page only */ } }
