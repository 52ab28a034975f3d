package config_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const referencePath = "../../docs/configuration.md"

func TestReferenceIsCurrent(t *testing.T) {
	want := config.Reference()
	if *update {
		if err := os.WriteFile(referencePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the settings say; run make generate", referencePath)
	}
}

func TestReferenceExampleIsRight(t *testing.T) {
	_, rest, _ := strings.Cut(config.Reference(), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the reference has no example")
	}
	c, err := config.Load(nil, "--config", writeFile(t, example))
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/var/lib/serverlessvideo" || c.SMTP.Host != "mail.example.com" {
		t.Errorf("the example was read as %+v", c)
	}
}
