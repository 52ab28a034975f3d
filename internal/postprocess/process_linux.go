package postprocess

import (
	"os/exec"
	"syscall"
)

// niceness is how much ffmpeg gives way to others: live broadcasts go first.
const niceness = 10

// ownGroup puts a program into a process group of its own: Ctrl-C in the
// terminal is not for it, and killing it kills its children. It dies with us,
// should we be killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// lowerPriority is called before the program has made its threads, which then
// inherit it.
func lowerPriority(pid int) {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, niceness) // no harm where it may not
}
