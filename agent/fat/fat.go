// Package fat makes and reads small FAT16 volumes in memory, with long names and in sectors of any
// size: config drives, which the agent writes behind an image and the lab's machines read back,
// and the boot partitions of the test systems.
package fat
