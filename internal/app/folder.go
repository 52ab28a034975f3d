package app

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

// folder is the node's data folder and what has its place in it.
type folder string

func (f folder) appDB() string   { return filepath.Join(string(f), "app.db") }
func (f folder) flowDB() string  { return filepath.Join(string(f), "flow.db") }
func (f folder) bus() string     { return filepath.Join(string(f), "bus") }
func (f folder) objects() string { return filepath.Join(string(f), "objects") }
func (f folder) work() string    { return filepath.Join(string(f), "work") }
func (f folder) spill() string   { return filepath.Join(string(f), "spill") }
func (f folder) tls() string     { return filepath.Join(string(f), "tls") }

// nodeID returns the node's id, which is made at its first start and stays.
func (f folder) nodeID() (string, error) {
	return f.keep("node.id", func() (string, error) { return "node-" + id.New(), nil })
}

// secret returns the node's secret: what the configuration says, else 32 random
// bytes that are made at the first start and kept in secret.key.
func (f folder) secret(configured string) ([]byte, error) {
	if configured != "" {
		return []byte(configured), nil
	}
	text, err := f.keep("secret.key", func() (string, error) {
		key := make([]byte, 32)
		_, err := rand.Read(key)
		return base64.StdEncoding.EncodeToString(key), err
	})
	return []byte(text), err
}

// keep returns what stands in a small file, making it when it is missing. The
// caller holds the folder's lock, so that nobody else makes it too.
func (f folder) keep(name string, make func() (string, error)) (string, error) {
	path := filepath.Join(string(f), name)
	b, err := os.ReadFile(path)
	if err == nil {
		if text := strings.TrimSpace(string(b)); text != "" {
			return text, nil
		}
		return "", fmt.Errorf("%s is empty: put back what stood there, or delete it to have a new one made", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text, err := make()
	if err != nil {
		return "", err
	}
	return text, writeDurably(path, text+"\n")
}

// writeDurably writes a file that is whole or not there at all, for its owner
// alone.
func writeDurably(path, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
