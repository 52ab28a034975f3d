package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/serverlessvideo/serverlessvideo"

// services meet through events or through small interfaces that the consumer
// declares, never by importing one another.
func services() []string {
	return []string{
		"streaming", "channel", "postprocess", "video", "pluginmanager", "publisher", "history", "account", "rules", "archive", "simulator",
		"flowadmin", "deadletter",
	}
}

// foundations are the packages of ours that a service may import.
func foundations() []string {
	return []string{"errs", "identity", "id", "event", "flow", "blob", "store", "failpoint", "sse"}
}

// forbidden returns why package from may not import package to, or "". Both are
// paths inside the module.
func forbidden(from, to string) string {
	switch top := topOf(from); {
	case slices.Contains(services(), top):
		if !slices.Contains(append(foundations(), top), topOf(to)) {
			return "a service imports only " + strings.Join(foundations(), ", ") + " and its own packages"
		}
	case top == "gateway":
		if slices.Contains(services(), topOf(to)) {
			return "the gateway imports no service: app mounts what services offer"
		}
		if topOf(to) == "app" {
			return "only cmd imports app"
		}
	case slices.Contains(foundations(), top):
		if !slices.Contains(foundations(), topOf(to)) {
			return "what services stand on imports nothing above it"
		}
	case strings.HasPrefix(from, "plugins/"):
		if to != "sdk" && !strings.HasPrefix(to, "sdk/") && !sameFolder(from, to) {
			return "a plugin imports sdk alone"
		}
	case from == "sdk" || strings.HasPrefix(from, "sdk/"):
		if to != "sdk" && !strings.HasPrefix(to, "sdk/") {
			return "the sdk is for programs outside this module"
		}
	case strings.HasPrefix(from, "cmd/"):
		if slices.Contains(services(), topOf(to)) || topOf(to) == "gateway" {
			return "commands have no logic: app composes the services"
		}
	case top != "app" && topOf(to) == "app":
		return "only cmd imports app"
	}
	return ""
}

// topOf is the package below internal/ that a path belongs to, or "".
func topOf(path string) string {
	rest, inside := strings.CutPrefix(path, "internal/")
	if !inside {
		return ""
	}
	top, _, _ := strings.Cut(rest, "/")
	return top
}

// sameFolder says whether two paths share their first two elements: plugins/x.
func sameFolder(a, b string) bool {
	folder := func(p string) string { return strings.Join(strings.SplitN(p, "/", 3)[:2], "/") }
	return strings.Contains(b, "/") && folder(a) == folder(b)
}

func TestImports(t *testing.T) {
	// -e: a package that does not build at the moment is another test's matter.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	seen := 0
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; seen++ {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(pkg.ImportPath, module+"/")
		for _, path := range pkg.Imports {
			to, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			if why := forbidden(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("go list found only %d packages", seen)
	}
}

func TestForbidden(t *testing.T) {
	tests := []struct {
		from, to string
		allowed  bool
	}{
		{"internal/video", "internal/store", true},
		{"internal/video", "internal/video/sqlc", true},
		{"internal/video/sqlc", "internal/video", true},
		{"internal/streaming/whip", "internal/streaming/cmaf", true},
		{"internal/video", "internal/channel", false},
		{"internal/video", "internal/gateway", false},
		{"internal/video", "internal/config", false},
		{"internal/video", "internal/app", false},
		{"internal/video", "sdk", false},
		{"internal/streaming/whip", "internal/channel", false},
		{"internal/gateway", "internal/errs", true},
		{"internal/gateway", "internal/account", false},
		{"internal/gateway", "internal/app", false},
		{"internal/store", "internal/event", true},
		{"internal/store", "internal/video", false},
		{"internal/errs", "internal/bus", false},
		{"internal/app", "internal/video", true},
		{"internal/app", "internal/gateway", true},
		{"internal/bus", "internal/app", false},
		{"plugins/duration_plugin", "sdk", true},
		{"plugins/duration_plugin", "plugins/duration_plugin/rules", true},
		{"plugins/duration_plugin", "plugins/other", false},
		{"plugins/duration_plugin", "internal/event", false},
		{"sdk", "internal/event", false},
		{"sdk", "sdk/testing", true},
		{"cmd/serverlessvideo", "internal/app", true},
		{"cmd/serverlessvideo", "internal/video", false},
	}
	for _, tt := range tests {
		if why := forbidden(tt.from, tt.to); (why == "") != tt.allowed {
			t.Errorf("%s imports %s: %q", tt.from, tt.to, why)
		}
	}
}
