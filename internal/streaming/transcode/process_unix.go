//go:build unix && !linux

package transcode

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a program into a process group of its own: Ctrl-C in the
// terminal is not for it, and killing it kills its children. Should we be
// killed, the end of its input ends it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func lowerPriority(int) {}

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
