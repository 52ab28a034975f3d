// Command serverlessvideo is the whole product in one binary. This folder reads
// the command line, one file per command; the work is done in internal/.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

// Exit codes of the contract, section 9.
const (
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Run a node until it is stopped by SIGTERM or SIGINT."`
	User     userCmd     `cmd:"" help:"Work with users, on a running or a stopped node."`
	Channel  channelCmd  `cmd:"" help:"Work with channels, on a running or a stopped node."`
	Simulate simulateCmd `cmd:"" help:"Replay past recordings on a running node, as a load test."`
	Check    checkCmd    `cmd:"" help:"Look for recordings, files and rows that nobody owns, on a running or a stopped node."`
	History  historyCmd  `cmd:"" help:"Work with the timelines of videos, on a running or a stopped node."`
	Version  versionCmd  `cmd:"" help:"Show version, commit and Go version."`
}

// process is what commands may touch of the process they run in.
type process struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is a mistake on the command line that only the command could see.
type usageError struct{ error }

func main() {
	// What the program writes, keys and password hashes among it, is for its own
	// user alone, in whatever folder it is told to work.
	syscall.Umask(0o077)
	os.Exit(run(os.Args[1:], &process{environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

func run(args []string, p *process) int {
	options := append([]kong.Option{
		kong.Name("serverlessvideo"),
		kong.Description("Live video platform in one binary."),
		kong.UsageOnError(),
		kong.Writers(p.stdout, p.stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Bind(p),
	}, config.Options(p.environ)...)
	parser, err := kong.New(&cli{}, options...)
	if err != nil {
		return p.fail(err, exitFailed)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return p.fail(fmt.Errorf("%w\n(serverlessvideo --help tells more)", err), exitUsage)
	}
	err = command.Run()
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return p.fail(err, exitUsage)
	case err != nil:
		return p.fail(err, exitFailed)
	}
	return 0
}

func (p *process) fail(err error, code int) int {
	fmt.Fprintf(p.stderr, "serverlessvideo: %v\n", err)
	return code
}
