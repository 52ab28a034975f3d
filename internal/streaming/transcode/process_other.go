//go:build !unix

package transcode

import "os/exec"

func ownGroup(*exec.Cmd) {}

func lowerPriority(int) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
