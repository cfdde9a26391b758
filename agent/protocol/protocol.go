// Package protocol is what the agent in the ramdisk and the cloud say to each other: JSON over
// HTTP on the provisioning network. The agent calls, the cloud answers; the cloud never connects
// to the agent. Paths are relative to the base URL on the kernel's command line.
//
// Kernel command line: hagane.api=URL (base URL, such as http://198.18.0.1/agent/v1),
// hagane.claim=SECRET (single use), hagane.mac=MAC (of the NIC to use) and, for the console, the usual console=
// words. With hagane.ip=ADDRESS/BITS[,GATEWAY] that NIC gets this address, and no DHCP is asked.
//
//	POST {api}/claim      Claim → Claimed; 409 when the secret was used, 401 when it is unknown
//	POST {api}/heartbeat  Beat → Orders; Authorization: Bearer TOKEN; the cloud may hold the answer
//	                      back for up to Claimed.HoldSeconds while it has no order (long poll)
//	POST {api}/log        text/plain, at most 1 MiB; Authorization: Bearer TOKEN
//	GET  Write.URL        the image; Authorization: Bearer TOKEN
//
// With Write.Swarm the image may be taken in chunks instead, from the cloud and from other agents (package agent/swarm):
//
//	GET  Write.URL/manifest  what the chunks are (package agent/manifest)
//	POST Write.URL/chunk     the set of chunks that the agent wants → one of them, its number in the header HeaderChunk;
//	                         204: none for now, ask again. With ?alone=true the agent has nobody else to ask
//	POST {api}/swarm         Meeting → Peers
package protocol

// The paths below the base URL.
const (
	PathClaim     = "/claim"
	PathHeartbeat = "/heartbeat"
	PathLog       = "/log"
	PathSwarm     = "/swarm"
)

// What stands behind an image's URL, and the header that tells which chunk is sent.
const (
	PathManifest = "/manifest"
	PathChunk    = "/chunk"
	HeaderChunk  = "Hagane-Chunk"
)

// Claim is the agent's first call: it takes over the run that the boot script was made for.
type Claim struct {
	Secret string `json:"secret"`
	// Nonce is random, one for each run of the agent: a claim that is repeated with the same nonce (the first
	// answer was lost on the way) is the same claim and gets the same answer; with another it is refused.
	Nonce     string    `json:"nonce,omitempty"`
	MACs      []string  `json:"macs"`      // of all NICs, lower case
	BootMode  string    `json:"boot_mode"` // uefi or bios, as the running kernel sees it
	Version   string    `json:"version"`   // of the agent
	Inventory Inventory `json:"inventory"`
}

// Claimed answers a claim.
type Claimed struct {
	Token         string `json:"token"` // for all further calls
	Node          string `json:"node"`
	BeatSeconds   int    `json:"beat_seconds"`   // time between heartbeats while an order is carried out
	HoldSeconds   int    `json:"hold_seconds"`   // longest time that the cloud holds back an answer
	GiveUpSeconds int    `json:"giveup_seconds"` // without any answer for so long the agent powers the machine off
}

// Beat is a heartbeat: what the agent is doing and, once, how an order ended.
type Beat struct {
	Order    string   `json:"order,omitempty"` // the order in hand or just ended; "" when idle
	Done     bool     `json:"done,omitempty"`  // the order ended; Result or Error is set
	Error    string   `json:"error,omitempty"` // why it failed, in words for an operator
	Progress Progress `json:"progress"`
	Result   Result   `json:"result"`
}

// Progress is how far an order has come.
type Progress struct {
	Doing string `json:"doing,omitempty"` // such as "writing /dev/vda"
	Bytes int64  `json:"bytes,omitempty"`
	Total int64  `json:"total,omitempty"` // 0 when unknown
}

// Result is what an order yielded; the field for its kind is set.
type Result struct {
	Inventory *Inventory `json:"inventory,omitempty"`
	Erased    []Erased   `json:"erased,omitempty"`
	Written   *Written   `json:"written,omitempty"`
	LaidOut   *Layout    `json:"laid_out,omitempty"` // as read back from the disks
	Rescued   *Rescued   `json:"rescued,omitempty"`
}

// Orders answers a heartbeat: the next order, or none. An agent that is handed the order that it is
// carrying out, or has just carried out, does not start it again but reports it again.
type Orders struct {
	Order *Order `json:"order,omitempty"`
}

// Order is something for the agent to do. Exactly one of the pointers is set.
type Order struct {
	ID          string       `json:"id"`
	Inspect     *Inspect     `json:"inspect,omitempty"`
	Erase       *Erase       `json:"erase,omitempty"`
	Write       *Write       `json:"write,omitempty"`
	LayOut      *LayOut      `json:"lay_out,omitempty"`
	ConfigDrive *ConfigDrive `json:"config_drive,omitempty"`
	Shutdown    *Shutdown    `json:"shutdown,omitempty"`
	Rescue      *Rescue      `json:"rescue,omitempty"`
}

// Inspect asks for a fresh inventory, with the neighbours of all NICs that have a link.
type Inspect struct {
	// ListenSeconds bounds the time in which neighbours are listened for; 0 is the agent's own bound (35 s, since
	// switches speak every 30). It ends sooner when every NIC has heard its neighbour.
	ListenSeconds int `json:"listen_seconds,omitempty"`
}

// Erase asks for all disks to be erased, by the best method that each offers.
type Erase struct {
	// MetadataOnly wipes only partition tables and file system signatures: quick, and not enough between tenants.
	MetadataOnly bool `json:"metadata_only,omitempty"`
}

// Erased is the record of one erased disk.
type Erased struct {
	Disk     string   `json:"disk"` // device name
	Serial   string   `json:"serial,omitempty"`
	Bytes    int64    `json:"bytes"`
	Method   string   `json:"method"` // nvme-sanitize, nvme-format, ata-secure-erase, discard, overwrite, metadata
	Seconds  float64  `json:"seconds"`
	Verified bool     `json:"verified"`        // samples over the whole disk read back as zeros
	Tried    []string `json:"tried,omitempty"` // better methods that failed first, with the reason
}

// Write asks for an image to be written to a disk.
type Write struct {
	URL      string   `json:"url"`
	Encoding string   `json:"encoding,omitempty"` // of the transfer: "" (raw), gzip, zstd
	SHA512   string   `json:"sha512"`             // of the raw image, hex
	Size     int64    `json:"size"`               // of the raw image, bytes
	Root     RootHint `json:"root"`
	// Swarm says how the image may be taken in chunks; nil: it is taken as a stream, as it is by agents that know no
	// other way.
	Swarm *Swarm `json:"swarm,omitempty"`
}

// Swarm is what an agent needs in order to take an image from other agents, and to give it to them.
type Swarm struct {
	Manifest string `json:"manifest"` // SHA-256 of the manifest, hex
	Key      []byte `json:"key"`      // that all who are ordered to write this image are given, and nobody else
}

// Meeting tells where other agents with the same order reach this one.
type Meeting struct {
	Port int `json:"port"` // TCP, at the address that the call comes from; 0: not any more
}

// Peers are some of the others, as ADDRESS:PORT.
type Peers struct {
	Peers []string `json:"peers"`
}

// RootHint chooses the disk to write to. An empty hint takes the smallest disk of 4 GiB or more, or the only
// disk there is; ties go by device name.
type RootHint struct {
	Name     string `json:"name,omitempty"` // /dev/sda
	Serial   string `json:"serial,omitempty"`
	WWN      string `json:"wwn,omitempty"`
	Model    string `json:"model,omitempty"`
	MinBytes int64  `json:"min_bytes,omitempty"`
}

// Written is the record of a written image.
type Written struct {
	Disk    string  `json:"disk"`
	Serial  string  `json:"serial,omitempty"`
	Bytes   int64   `json:"bytes"`   // of the raw image
	Skipped int64   `json:"skipped"` // bytes of holes that were not written
	Seconds float64 `json:"seconds"`
	SHA512  string  `json:"sha512"` // as computed on the way
	// Of an image that came in chunks, the bytes that other agents sent, and those that the cloud's store sent.
	FromPeers int64 `json:"from_peers,omitempty"`
	FromStore int64 `json:"from_store,omitempty"`
}

// ConfigDrive asks for an OpenStack config drive to be written behind the image, as a partition with
// the file system label config-2.
type ConfigDrive struct {
	Root  RootHint          `json:"root"`
	Files map[string][]byte `json:"files"` // path within the drive (openstack/latest/meta_data.json) → content
}

// Shutdown asks the agent to end: the machine restarts or powers off right after the order was acknowledged.
type Shutdown struct {
	Reboot bool `json:"reboot"`
}

// RescueUser is the name by which people log in to the rescue system.
const RescueUser = "rescue"

// Rescue asks the agent to become the rescue system: once its report was acknowledged it says nothing to the cloud any
// more, takes addresses by DHCP on the networks that the machine is plugged into then, and serves SSH to RescueUser.
type Rescue struct {
	PasswordHash string `json:"password_hash"` // of RescueUser, by bcrypt
}

// Rescued tells how the rescue system is recognised.
type Rescued struct {
	HostKey string `json:"host_key"` // fingerprint of its SSH host key: SHA256:…
}

// Inventory is what the agent found in the machine.
type Inventory struct {
	Manufacturer string `json:"manufacturer,omitempty"`
	Product      string `json:"product,omitempty"`
	Serial       string `json:"serial,omitempty"`
	UUID         string `json:"uuid,omitempty"`
	BIOSVendor   string `json:"bios_vendor,omitempty"`
	BIOSVersion  string `json:"bios_version,omitempty"`
	Architecture string `json:"architecture"` // x86_64
	BootMode     string `json:"boot_mode"`    // uefi or bios
	CPU          CPU    `json:"cpu"`
	MemoryBytes  int64  `json:"memory_bytes"`
	Disks        []Disk `json:"disks"`
	NICs         []NIC  `json:"nics"`
	BMCAddress   string `json:"bmc_address,omitempty"`
}

// CPU is the machine's processors taken together.
type CPU struct {
	Model   string `json:"model,omitempty"`
	Sockets int    `json:"sockets"`
	Cores   int    `json:"cores"`
	Threads int    `json:"threads"`
}

// Disk is a block device that an operating system could be written to.
type Disk struct {
	Name       string `json:"name"` // /dev/nvme0n1
	Model      string `json:"model,omitempty"`
	Serial     string `json:"serial,omitempty"`
	WWN        string `json:"wwn,omitempty"`
	Bytes      int64  `json:"bytes"`
	Bus        string `json:"bus,omitempty"` // nvme, sata, sas, virtio, usb, sim
	Rotational bool   `json:"rotational"`
	Firmware   string `json:"firmware,omitempty"`
}

// NIC is a network interface.
type NIC struct {
	Name     string `json:"name"`
	MAC      string `json:"mac"`
	Driver   string `json:"driver,omitempty"`
	Product  string `json:"product,omitempty"`
	Link     bool   `json:"link"`
	Mbps     int    `json:"mbps,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	LLDP     *LLDP  `json:"lldp,omitempty"`
}

// LLDP is the neighbour that a NIC heard.
type LLDP struct {
	Chassis string `json:"chassis"`
	Port    string `json:"port"`
	System  string `json:"system,omitempty"`
}
