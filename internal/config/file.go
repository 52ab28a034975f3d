package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile is the most that is read of a settings file, in bytes.
const maxFile = 1 << 20

// fileValue is a value of the settings file and where it stands.
type fileValue struct {
	raw   any // string, or []any of strings
	where string
}

// readFile returns the values of a YAML file by key.
func readFile(path string) (map[string]fileValue, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the settings file cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the settings file cannot be read: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the settings file %s is larger than 1 MiB", path)
	}
	return parseFile(path, data)
}

// parseFile is readFile for text that is already in memory.
func parseFile(path string, data []byte) (map[string]fileValue, error) {
	doc, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, fmt.Errorf("%s is not YAML: %w", path, err)
	}
	w := fileWalk{path: path, known: map[string]Setting{}, sections: map[string]bool{}, values: map[string]fileValue{}}
	for _, s := range Settings() {
		w.known[s.Key] = s
		w.keys = append(w.keys, s.Key)
		if section, _, nested := strings.Cut(s.Key, "."); nested {
			w.sections[section] = true
		}
	}
	for _, d := range doc.Docs {
		if err := w.document(d.Body); err != nil {
			return nil, err
		}
	}
	return w.values, nil
}

type fileWalk struct {
	path     string
	known    map[string]Setting
	keys     []string
	sections map[string]bool
	values   map[string]fileValue
}

func (w *fileWalk) document(n ast.Node) error {
	switch n.(type) {
	case nil, *ast.CommentGroupNode, *ast.NullNode:
		return nil
	case *ast.MappingNode, *ast.MappingValueNode:
		return w.mapping("", n)
	default:
		return fmt.Errorf("%s: settings are written as \"key: value\"", w.where(n))
	}
}

func (w *fileWalk) mapping(prefix string, n ast.Node) error {
	var entries []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		entries = m.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{m}
	}
	for _, e := range entries {
		if err := w.entry(prefix+underscored(e.Key.GetToken().Value), e); err != nil {
			return err
		}
	}
	return nil
}

func (w *fileWalk) entry(key string, e *ast.MappingValueNode) error {
	if w.sections[key] {
		switch e.Value.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			return w.mapping(key+".", e.Value)
		case *ast.NullNode: // a section whose lines are all commented out
			return nil
		}
		return fmt.Errorf("%s: %s is a section: write its settings below it, indented", w.where(e.Key), key)
	}
	setting, ok := w.known[key]
	if !ok {
		return fmt.Errorf("%s: unknown key %q%s", w.where(e.Key), key, suggestion(key, w.keys))
	}
	if key == "config" {
		return fmt.Errorf("%s: a settings file cannot name another one with \"config\"", w.where(e.Key))
	}
	if _, twice := w.values[key]; twice {
		return fmt.Errorf("%s: %s is set twice", w.where(e.Key), key)
	}
	raw, err := rawValue(setting, e.Value)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", w.where(e.Key), key, err)
	}
	w.values[key] = fileValue{raw: raw, where: w.where(e.Key) + ": " + key}
	return nil
}

// rawValue reads a scalar as it is written, and a sequence of scalars for a list.
func rawValue(s Setting, n ast.Node) (any, error) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		if s.Kind != List && s.Kind != Plugins {
			return nil, errors.New("one value is expected, not a list")
		}
		items := make([]any, 0, len(seq.Values))
		for _, v := range seq.Values {
			read := scalar
			if s.Kind == Plugins {
				read = plugin
			}
			text, err := read(v)
			if err != nil {
				return nil, err
			}
			items = append(items, text)
		}
		return items, nil
	}
	return scalar(n)
}

// plugin reads a plugin written as manifest and secret into its text form.
func plugin(n ast.Node) (string, error) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return scalar(n)
	}
	fields := map[string]string{}
	for _, e := range m.Values {
		name := e.Key.GetToken().Value
		if name != "manifest" && name != "secret" {
			return "", fmt.Errorf("unknown key %q: a plugin has manifest and secret", name)
		}
		text, err := scalar(e.Value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		fields[name] = text
	}
	if strings.Contains(fields["manifest"], "=") {
		return "", errors.New("manifest: a path with \"=\" cannot be told from the secret")
	}
	return fields["manifest"] + "=" + fields["secret"], nil
}

func scalar(n ast.Node) (string, error) {
	switch v := n.(type) {
	case *ast.NullNode:
		return "", errors.New("a value is missing")
	case *ast.LiteralNode: // | and > blocks
		return strings.TrimRight(v.Value.Value, "\n"), nil
	case *ast.StringNode:
		return v.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	default:
		return "", errors.New("a plain value is expected")
	}
}

func (w *fileWalk) where(n ast.Node) string {
	return fmt.Sprintf("%s:%d", w.path, n.GetToken().Position.Line)
}
