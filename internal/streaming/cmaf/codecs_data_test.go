package cmaf

// A sequence header OBU of 320x180 by libaom.
var testAV1 = unhex("0a0d200000043cfeccdaf92021a004")

// VPS, SPS and PPS of 320x180 by x265.
var testHEVC = [][]byte{
	unhex("40010c01ffff01600000030090000003000003003c959809"),
	unhex("42010101600000030090000003000003003ca00a080b9f796566924caf016808000003000800000300f040"),
	unhex("4401c172b46240"),
}

// The first bytes of key frames of 322x182.
var (
	testVP8 = unhex("300200" + "9d012a" + "4201b600" + "0007")
	testVP9 = unhex("82498342" + "00141" + "00b50" + "0070")
)
