package app

import (
	"context"
	"errors"
	"log/slog"

	"github.com/serverlessvideo/serverlessvideo/internal/account"
	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/channel"
	"github.com/serverlessvideo/serverlessvideo/internal/config"
	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// core is what commands on a folder at rest need as well as a running node: the
// database, and the services that work without a bus.
type core struct {
	cfg      config.Config
	log      *slog.Logger
	folder   folder
	nodeID   string
	secret   []byte
	schemas  *schema.Registry
	db       *store.DB
	accounts *account.Service
	channels *channel.Service
	archive  *archive.Service
	replays  *replayRules  // where replays go, once there are rules
	realtime *lateBus      // where what passes goes, once there is a bus
	audience *lateAudience // who watches, once there are streams
}

// openCore opens the data folder, whose lock the caller holds.
func openCore(ctx context.Context, cfg config.Config, log *slog.Logger) (*core, error) {
	c := &core{cfg: cfg, log: log, folder: folder(cfg.DataDir), realtime: &lateBus{}, audience: &lateAudience{}, replays: &replayRules{}, schemas: schema.New()}
	var err error
	if c.nodeID, err = c.folder.nodeID(); err != nil {
		return nil, err
	}
	if c.secret, err = c.folder.secret(cfg.Secret); err != nil {
		return nil, err
	}
	c.db, err = store.Open(ctx, store.Config{
		Path: c.folder.appDB(), URL: cfg.Database.URL, Node: c.nodeID, Logger: log, Schemas: c.schemas,
	})
	if err != nil {
		return nil, err
	}
	if err := c.services(); err != nil {
		return nil, errors.Join(err, c.db.Close())
	}
	return c, nil
}
