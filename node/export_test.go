package node

// RescueHashed is Rescue for a password that was hashed before, which takes seconds with the race detector.
var RescueHashed = (*Service).rescue
