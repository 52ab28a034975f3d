package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker when `make` builds; else the build information must do.
var version, commit string

type versionCmd struct{}

// Run prints version, commit and Go version.
func (versionCmd) Run(p *process) error {
	v, c := version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		v = cmp.Or(v, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				c = cmp.Or(c, s.Value)
			}
		}
	}
	_, err := fmt.Fprintf(p.stdout, "serverlessvideo %s\ncommit %s\n%s %s/%s\n",
		cmp.Or(v, "unknown"), cmp.Or(c, "unknown"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
