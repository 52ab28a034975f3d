package store

import (
	"errors"
	"io/fs"
)

// layers is a folder that shows the files of two: those that all databases
// have in common, and those of one dialect.
type layers struct{ common, own fs.FS }

// migrations returns the migrations of the dialect. They stand in one folder,
// but for those that no SQL says for both databases: they have a twin in the
// folder of each.
func (d dialect) migrations() (fs.FS, error) {
	common, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	own, err := fs.Sub(common, d.folder)
	return layers{common, own}, err
}

// Open opens a file of either.
func (l layers) Open(name string) (fs.File, error) {
	file, err := l.own.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return l.common.Open(name)
	}
	return file, err
}

// ReadDir lists both.
func (l layers) ReadDir(name string) ([]fs.DirEntry, error) {
	common, err := fs.ReadDir(l.common, name)
	if err != nil {
		return nil, err
	}
	own, err := fs.ReadDir(l.own, name)
	return append(common, own...), err
}
