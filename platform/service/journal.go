package service

// journalSocket is where journald takes records.
var journalSocket = "/run/systemd/journal/socket"
