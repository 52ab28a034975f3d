package admin

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// address is admin.json: where a running node listens for commands.
type address struct {
	Address string `json:"address"` // host:port on the loopback
	Token   string `json:"token"`   // the bearer token of every call
	PID     int    `json:"pid"`     // for people who look into the file
}

func addressPath(dir string) string { return filepath.Join(dir, "admin.json") }

// write puts admin.json in place in one step, readable for its owner alone.
func (a address) write(dir string) error {
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".admin-*") // CreateTemp makes files with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), addressPath(dir))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func readAddress(dir string) (address, error) {
	var a address
	data, err := os.ReadFile(addressPath(dir))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("%s: %w", addressPath(dir), err)
	}
	return a, nil
}

// newToken returns 26 characters with 130 bits of randomness.
func newToken() string { return rand.Text() }
