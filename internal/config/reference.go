package config

import (
	"fmt"
	"strings"
)

// Reference is docs/configuration.md: every setting under its three names.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	section := ""
	table := func() {
		b.WriteString("\n| key | flag | environment | default | meaning |\n|---|---|---|---|---|\n")
	}
	table()
	for _, s := range Settings() {
		if of, _, nested := strings.Cut(s.Key, "."); nested && of != section {
			section = of
			fmt.Fprintf(&b, "\n## %s\n", section)
			table()
		}
		key := "`" + s.Key + "`"
		if s.Flag == "config" {
			key = ""
		}
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| %s | `--%s` | `%s` | %s | %s |\n", key, s.Flag, s.Env, def, strings.ReplaceAll(s.Help, "|", "\\|"))
	}
	return b.String()
}

const referenceHead = `# Configuration

<!-- Made from internal/config by "make generate"; a test holds it. -->

` + "`serverlessvideo serve`" + ` needs no configuration. Whatever it can be told can be said in three ways: as a
flag, as an environment variable and as a key of a YAML file named by ` + "`--config`" + `. A flag wins over the
environment, the environment over the file, the file over the default.

- What is not known is an error that names it and ends the program with exit code 2: a flag, a key, a variable
  that begins with ` + "`SERVERLESSVIDEO_`" + `.
- A key with a dot is written in its section: ` + "`auth.sign_up`" + ` is ` + "`sign_up`" + ` below ` + "`auth:`" + `. Hyphens and underscores
  mean the same in keys.
- An address is ` + "`host:port`" + ` or ` + "`:port`" + ` (all of the machine's addresses); ` + "`off`" + ` means none, port 0 any free one.
- A list is separated by commas; in the file it may be a YAML sequence.
- A duration is a number with a unit: ` + "`250ms`, `10s`, `1m30s`" + `.
- An empty environment variable counts as not set.

An example:

` + "```yaml" + `
data_dir: /var/lib/serverlessvideo
http: :8080
public_url: https://video.example.com
auth:
  sign_up: open
  allowed_domains: [example.com]
smtp:
  host: mail.example.com
  from: ServerlessVideo <video@example.com>
` + "```" + `

## Settings
`
