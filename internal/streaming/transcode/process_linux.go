package transcode

import (
	"os/exec"
	"syscall"
)

// niceness is how much ffmpeg gives way to others: with passthrough at 0, that
// gets about nine times its share of a busy core.
const niceness = 10

// ownGroup puts a program into a process group of its own: Ctrl-C in the
// terminal is not for it, and killing it kills its children. It dies with us,
// should we be killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// lowerPriority is called before the program has made its threads, which then
// inherit it.
func lowerPriority(pid int) {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, niceness) // no harm where it may not
}

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
