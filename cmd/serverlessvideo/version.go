package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker when a release is built.
var version = ""

type versionCmd struct{}

// Run prints version, commit and Go version.
func (versionCmd) Run(p *process) error {
	v, commit := version, "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		commit = revision(info, commit)
	}
	_, err := fmt.Fprintf(p.stdout, "serverlessvideo %s\ncommit %s\n%s %s/%s\n", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// revision is the commit that the binary was built from, as far as it knows.
func revision(info *debug.BuildInfo, unknown string) string {
	commit, changed := unknown, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return commit + changed
}
