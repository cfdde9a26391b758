package machinetest

// Image is a disk image with a master boot record of one partition and something in it.
func Image() []byte {
	b := make([]byte, 8<<20)
	copy(b[446:], []byte{0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x30, 0, 0}) // Linux, from sector 2048, 12288 long
	b[510], b[511] = 0x55, 0xaa
	for i := 1 << 20; i < 4<<20; i++ {
		b[i] = byte(i)
	}
	return b
}
