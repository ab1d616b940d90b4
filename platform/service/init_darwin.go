package service

const defaultInit = Launchd
