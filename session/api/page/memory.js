// What the page remembers while its tab is open. Where storage is forbidden, it lasts as long as the page.

export function recall(key) { try { return sessionStorage.getItem(key) || ""; } catch (e) { return ""; } }
export function remember(key, value) { try { sessionStorage.setItem(key, value); } catch (e) { /* then for this page only */ } }
