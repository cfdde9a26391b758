// Package hagane is the root of the tree; it holds no code. `ls` is the architecture:
//
// The nouns: identity, server, node, image, network. Each has its records, its service and its verbs; node/life.go is
// the life of a physical server. workflow runs multi-step changes durably and conductor drives them;
// bmc and its folders talk to BMCs, network/fabric to switches, netboot to machines that boot, agent is
// what runs on them. api speaks the clients' dialects. db, fault and secret serve everyone. lab is
// a data centre in a box, demo plays the main job on it, ramdisk and osimage build what machines
// boot, client calls the API, and cmd wires it all.
package hagane
