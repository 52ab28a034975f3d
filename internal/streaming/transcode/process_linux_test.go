package transcode

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEnvironment looks at what ffmpeg gets to know, and how important it is.
func TestEnvironment(t *testing.T) {
	t.Setenv("SERVERLESSVIDEO_SECRET", "a secret")
	path := filepath.Join(t.TempDir(), "seen")
	tool := script(t, "{ env; cut -d' ' -f19 /proc/$$/stat; } >"+path+".new; mv "+path+".new "+path+"; cat >/dev/null")
	p, err := startProcess(tool.path, nil, Limits{}.withDefaults(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it looks around", func() bool { _, err := os.Stat(path); return err == nil })
	p.kill("the test is over")
	<-p.done
	seen := string(must(os.ReadFile(path))(t))
	if strings.Contains(seen, "a secret") || !strings.Contains(seen, "PATH=") {
		t.Errorf("the environment: %q", seen)
	}
	lines := strings.Fields(seen)
	if nice := lines[len(lines)-1]; nice != strconv.Itoa(max(niceness, niceOfTest(t))) {
		t.Errorf("niceness %s", nice)
	}
}

func niceOfTest(t *testing.T) int {
	t.Helper()
	stat := string(must(os.ReadFile("/proc/self/stat"))(t))
	return must(strconv.Atoi(strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])[16]))(t)
}
