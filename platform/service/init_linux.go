package service

const defaultInit = Systemd
